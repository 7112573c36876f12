"""One connection to an engine: one request at a time, and the answer that comes over it, whole or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

import httptools

KEEP_ALIVE_S = 3.0  # vLLM closes idle connections after 5
HIGH_WATER = 262_144  # bytes of an answer that wait for the client, until the engine is not read any more
MOST_BYTES = 134_217_728  # of one answer
MOST_HEAD_BYTES = 262_144


class Unreached(Exception):
    """The engine gave no answer, not even its status."""


class ConnectionLost(Unreached):
    """The connection ended with the request in it: the request may be why. `again`: for the second time; `gone`: the
    engine took no new connection afterwards."""

    def __init__(self, message: str, *, again: bool = False, gone: bool = False) -> None:
        self.again, self.gone = again, gone
        super().__init__(message)


class Broken(Exception):
    """The engine's answer ended before it was whole."""


class Link(asyncio.Protocol):
    """One connection, and the answer that comes over it."""

    def __init__(self, keep: Callable[[Link], None], url: str, loop: asyncio.AbstractEventLoop) -> None:
        """`keep`: takes the link back once its answer is whole and it can be used again."""
        self.url, self.loop, self.idle_since = url, loop, 0.0
        self.closed = self.began = False  # began: something of the answer has come
        self.again = False  # the request in it has ended another connection before
        self.status, self.headers = 0, dict[str, str]()
        self._keep = keep
        self._parser: Any = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._waiting = self._size = 0  # bytes in `_parts`; of all that came
        self._whole = self._headed = self._paused = self._streaming = self._used = self._reusable = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timeout_s = self._deadline = 0.0

    @property
    def waiting(self) -> bool:
        """Return whether some of the body is there already."""
        return bool(self._parts)

    def usable(self, now: float) -> bool:
        """Return whether the engine has not closed it nor will in a moment."""
        return not self.closed and now - self.idle_since < KEEP_ALIVE_S

    async def ask(self, data: bytes, deadline: float, timeout_s: float) -> Link:
        """Send a request and return with the answer's head; see `EnginePool.ask`. `deadline`: by the loop's clock."""
        self.status, self.headers, self._error = 0, {}, None
        self.began = self._headed = self._whole = self._streaming = False
        self._size, self._timeout_s, self._used = 0, timeout_s, True
        self._deadline = deadline
        self._timer = self.loop.call_at(deadline, self._check_deadline)
        if self.closed:
            self._fail(Unreached("the connection is closed"))
        else:
            self._transport.write(data)
        try:
            while not self._headed:
                await self._news()
        except Broken:  # after its head: reading the rest raises it
            return self
        except BaseException:
            self.abort()
            raise
        return self

    async def read(self) -> bytes:
        """Return the whole body. Raise ConnectionLost where it breaks off, since no client has seen any of it, or
        TimeoutError."""
        try:
            while not self._whole:
                await self._news()
            return b"".join(self._parts)
        except Broken as error:
            raise ConnectionLost(str(error), again=self.again) from error
        finally:
            self.release()

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes; the time limit holds for each piece. Raise Broken, or TimeoutError. Does not
        release: a generator that is left ends later, when the connection may be another's."""
        self._streaming = True
        while True:
            if self._parts:
                data, self._parts, self._waiting = b"".join(self._parts), [], 0
                if self._paused:
                    self._paused, self._deadline = False, self.loop.time() + self._timeout_s
                    self._transport.resume_reading()
                yield data
            elif self._whole:
                return
            else:
                await self._news()

    def release(self) -> None:
        """Give the link back to its pool where the answer is whole; else close it, so that the engine stops working
        on the rest. Once is enough, twice does no harm."""
        if not self._used:
            return
        self._used = False
        self._parts, self._waiting = [], 0
        self._stop_timer()
        if self._whole and self._reusable and not self._paused and not self.closed:
            self._keep(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        self.closed = True
        self._stop_timer()
        self._transport.abort()

    # the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if not self._whole:
            self._break(f"broke off: {type(error).__name__ if error else 'closed'}")

    def data_received(self, data: bytes) -> None:
        if not self._used:  # no request is in it: these bytes must not be taken for the next one's answer
            self.abort()
            return
        self.began = True
        self._size += len(data)
        if self._streaming:
            self._deadline = self.loop.time() + self._timeout_s
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break("no HTTP")
        if self._size > (MOST_BYTES if self._headed else MOST_HEAD_BYTES):
            self._break("sent too much")
        if self._waiting > HIGH_WATER and self._streaming and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """End a body without a length; connection_lost finds out whether another one was whole."""
        self.closed = True
        if self._headed and not self._whole and not self.headers.keys() & {"content-length", "transfer-encoding"}:
            self.on_message_complete()
        return False

    # the parser's side

    def on_message_begin(self) -> None:
        if self._whole:
            raise Broken("gave more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._headed:  # else it is a trailer
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self._headed, self._reusable = True, self._parser.should_keep_alive()
            self._wake()
        else:
            self.headers = {}

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)
        self._waiting += len(body)
        if self._streaming:
            self._wake()

    def on_message_complete(self) -> None:
        if self._headed:
            self._whole = True
            self._wake()

    async def _news(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._error is not None and not self._whole:
            raise self._error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _break(self, why: str) -> None:
        self.closed = True
        self._fail(Broken(why) if self._headed else ConnectionLost(why, again=self.again))

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._wake()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check_deadline(self) -> None:
        """Check the deadline, which streams move meanwhile. An engine that is not read is not silent."""
        now = self.loop.time()
        if self._paused:
            self._deadline = now + self._timeout_s
        if now < self._deadline:
            self._timer = self.loop.call_at(self._deadline, self._check_deadline)
        else:
            self._timer = None
            self._fail(TimeoutError())
