"""A client's transport as uvicorn's protocol sees it: how it closes, and whether the client takes its answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

FOREVER = float("inf")
LINGER_S = 2.0  # for a client to read why it was refused while it still sends
ACKNOWLEDGED = slice(120, 128)  # tcpi_bytes_acked in Linux's struct tcp_info


class ClientTransport:
    """The transport but for `close`, which the protocol decides. `ending`: nothing more may be written."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.close, self._own, self.ending = close, transport, False
        self.abort, self.get_extra_info = transport.abort, transport.get_extra_info
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading
        self.buffered = transport.get_write_buffer_size
        self._head = b""  # of an answer, for as long as a step of the event loop takes
        self._loop = asyncio.get_running_loop()
        self._taken: object = None  # of the answer, when the client was last seen to take something
        self._until_s = FOREVER  # for it to take more

    def write(self, data: bytes) -> None:
        """Write; a head waits for its body, which follows in the same step: one system call for both, and the client
        wakes once."""
        if data.startswith(b"HTTP/") and not self._head:
            self._head = data
            self._loop.call_soon(self.flush)
        else:
            data, self._head = self._head + data, b""
            self._own.write(data)

    def flush(self) -> None:
        """Write a head that nothing followed."""
        data, self._head = self._head, b""
        if data and not self._own.is_closing():
            self._own.write(data)

    def is_closing(self) -> bool:
        """Return whether nothing more may be written."""
        return self.ending or self._own.is_closing()

    def finish(self) -> None:
        """Close once the client has taken everything."""
        self.flush()
        self.ending = True
        self._own.close()

    def linger(self) -> None:
        """Send the end of the answer, and leave it to the client to close: closing here would reset one that still
        sends, and its answer would be lost."""
        self.flush()
        self.ending = True
        if self._own.can_write_eof() and not self._own.is_closing():
            with contextlib.suppress(OSError):  # the client is gone already
                self._own.write_eof()

    def end_if_stalled(self, now: float, write_s: float) -> None:
        """End the connection where the client takes nothing of what waits for it. The kernel's count of bytes that it
        acknowledged decides: our buffer does not move while a slow client empties the kernel's, which are large."""
        if not self.buffered():
            self._until_s = FOREVER
        elif self._until_s == FOREVER or self._progress() != self._taken:
            self._taken, self._until_s = self._progress(), now + write_s
        elif self._until_s < now:
            self.abort()

    def _progress(self) -> object:
        if not hasattr(socket, "TCP_INFO"):
            return self.buffered()
        info = self.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, ACKNOWLEDGED.stop)
        return bytes(info[ACKNOWLEDGED])


class Unbounded(int):
    """A length that every body keeps, for uvicorn's check of answers: the end of one to HTTP/1.0, which knows no
    chunks, is the connection's."""

    def __lt__(self, other: int) -> bool:
        return False

    def __sub__(self, other: int) -> Unbounded:
        return self
