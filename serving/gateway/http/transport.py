"""A client's transport as uvicorn's protocol sees it, and how much of an answer the client has taken."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable

ACKNOWLEDGED = slice(120, 128)  # tcpi_bytes_acked in Linux's struct tcp_info


class ClientTransport:
    """The transport but for `close`, which the protocol decides."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.ending = False
        self.close, self.own = close, transport
        self.write, self.get_extra_info = transport.write, transport.get_extra_info
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading

    def is_closing(self) -> bool:
        """Return whether nothing more may be written."""
        return self.ending or self.own.is_closing()

    def progress(self) -> object:
        """Return a value that changes when the client takes something. The kernel's count of bytes acknowledged: its
        own buffers are large, and ours does not move while a slow client empties those."""
        if not hasattr(socket, "TCP_INFO"):
            return self.own.get_write_buffer_size()
        info = self.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, ACKNOWLEDGED.stop)
        return bytes(info[ACKNOWLEDGED])


class Unbounded(int):
    """A length that every body keeps, for uvicorn's check of answers: the end of one to HTTP/1.0, which knows no
    chunks, is the connection's."""

    def __lt__(self, other: int) -> bool:
        return False

    def __sub__(self, other: int) -> Unbounded:
        return self


class Addresses:
    """Connections of each address; of IPv6, where a client has many, of each /64 network."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()

    def add(self, address: str) -> int:
        """Count one more and return how many there are."""
        self._count[network(address)] += 1
        return self._count[network(address)]

    def remove(self, address: str) -> None:
        """Count one less."""
        self._count[network(address)] -= 1
        if self._count[network(address)] <= 0:
            del self._count[network(address)]


def network(address: str) -> str:
    """Return the address, or its /64 network.

    >>> network("10.0.0.1"), network("2001:db8::7") == network("2001:db8:0:0:9::1"), network("::ffff:10.0.0.1")
    ('10.0.0.1', True, '::ffff:10.0.0.1')
    """
    if ":" not in address or "." in address:
        return address
    return socket.inet_pton(socket.AF_INET6, address.partition("%")[0])[:8].hex()
