"""Connections to engines: HTTP/1.1 over asyncio's protocols, kept alive, one request at a time on each.

Its own for the same reason as the server is: aiohttp's client takes more time than the whole gateway may add."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import httptools

KEEP_ALIVE_S = 3.0  # vLLM closes idle connections after 5
SENT = b"content-type: application/json\r\naccept-encoding: identity\r\n"
HIGH_WATER = 262_144  # bytes of an answer that wait for the client, until the engine is not read any more


class Unreached(Exception):
    """The engine gave no answer, not even its status."""


class Broken(Exception):
    """The engine's answer ended before it was whole."""


@dataclass(slots=True)
class Upstream:
    """A pool; its connections live in the loop that asks."""

    connect_timeout_s: float = 2.0
    _idle: dict[str, list[Link]] = field(default_factory=dict)
    _places: dict[str, Place] = field(default_factory=dict)

    async def ask(self, url: str, path: str, body: bytes, timeout_s: float, headers: bytes = b"") -> Link:
        """Sends a POST and returns with the answer's status and headers. `timeout_s`: from now to the whole answer,
        unless `Link.stream` says otherwise. Raises Unreached, or TimeoutError."""
        place = self._places.get(url)
        if place is None:
            place = self._places[url] = Place.of(url)
        data = b"POST %b HTTP/1.1\r\nhost: %b\r\n%b%bcontent-length: %d\r\n\r\n%b" % (
            path.encode(),
            place.netloc,
            SENT,
            headers,
            len(body),
            body,
        )
        while (link := self._take(url)) is not None:
            try:
                return await link.ask(data, timeout_s)
            except Unreached:  # closed by the engine while it was idle: that says nothing about the engine
                if link.heard:
                    raise
        return await (await self._connect(url, place)).ask(data, timeout_s)

    def close(self) -> None:
        """Closes what is idle; what is in use ends with its request."""
        for links in self._idle.values():
            for link in links:
                link.abort()
        self._idle.clear()

    def keep(self, link: Link) -> None:
        link.idle_since = link.loop.time()
        self._idle.setdefault(link.url, []).append(link)

    def _take(self, url: str) -> Link | None:
        """The one used last, if the engine has not closed it nor will in a moment."""
        links = self._idle.get(url)
        while links:
            link = links.pop()
            if not link.closed and link.loop.time() - link.idle_since < KEEP_ALIVE_S:
                return link
            link.abort()
        return None

    async def _connect(self, url: str, place: Place) -> Link:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.connect_timeout_s):
                _, link = await loop.create_connection(
                    lambda: Link(self, url, loop), place.host, place.port, ssl=place.tls
                )
        except TimeoutError as error:
            raise Unreached(f"no connection within {self.connect_timeout_s:g} s") from error
        except OSError as error:
            raise Unreached(f"no connection: {type(error).__name__}") from error
        return link


@dataclass(frozen=True, slots=True)
class Place:
    """Where an engine listens."""

    host: str
    port: int
    netloc: bytes
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, url: str) -> Place:
        """ValueError for what is no http or https address."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"engine address {url!r}: expected http://host:port or https://host:port")
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        port = parts.port or (443 if tls else 80)
        return cls(parts.hostname, port, parts.netloc.encode(), tls)


class Link(asyncio.Protocol):
    """One connection, and the answer that comes over it."""

    def __init__(self, pool: Upstream, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.url, self.loop, self.idle_since = url, loop, 0.0
        self.closed = self.heard = False  # heard: something of the answer has come
        self.status, self.headers = 0, dict[str, str]()
        self._pool = pool
        self._parser: Any = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._waiting = 0  # bytes in `_parts`
        self._whole = self._headed = self._paused = self._streaming = self._used = self._reusable = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timeout_s = self._deadline = 0.0

    @property
    def waiting(self) -> bool:
        """Whether some of the body is there already."""
        return bool(self._parts)

    async def ask(self, data: bytes, timeout_s: float) -> Link:
        """See `Upstream.ask`."""
        self.status, self.headers, self._parts, self._error = 0, {}, [], None
        self.heard = self._headed = self._whole = self._streaming = False
        self._waiting, self._timeout_s, self._used = 0, timeout_s, True
        self._deadline = self.loop.time() + timeout_s
        self._timer = self.loop.call_at(self._deadline, self._look)
        if self.closed:
            self._fail(Unreached("the connection is closed"))
        else:
            self._transport.write(data)
        try:
            while not self._headed:
                await self._news()
        except BaseException:
            self.abort()
            raise
        return self

    async def read(self) -> bytes:
        """The whole body. Raises Unreached where it breaks off: nobody has seen any of it. Or TimeoutError."""
        try:
            while not self._whole:
                await self._news()
        except Broken as error:
            raise Unreached(str(error)) from error
        finally:
            self.release()
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    async def stream(self) -> AsyncIterator[bytes]:
        """The body as it comes; the time limit holds for each piece anew. Raises Broken, or TimeoutError."""
        self._streaming = True
        try:
            while True:
                if self._parts:
                    data, self._parts, self._waiting = b"".join(self._parts), [], 0
                    if self._paused:
                        self._paused = False
                        self._transport.resume_reading()
                    yield data
                elif self._whole:
                    return
                else:
                    await self._news()
        finally:
            self.release()

    def release(self) -> None:
        """Back to the pool, where the answer is whole; else the engine learns that nobody wants the rest. Once is
        enough, twice does no harm."""
        if not self._used:
            return
        self._used = False
        self._stop_timer()
        if self._whole and self._reusable and not self.closed:
            self._pool.keep(self)
        else:
            self.abort()

    def abort(self) -> None:
        self.closed = True
        self._stop_timer()
        self._transport.abort()

    # the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if not self._whole:
            name = type(error).__name__ if error else "closed"
            self._fail(Broken(f"broke off: {name}") if self._headed else Unreached(f"broke off: {name}"))

    def data_received(self, data: bytes) -> None:
        self.heard = True
        if self._streaming:
            self._deadline = self.loop.time() + self._timeout_s
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.closed = True
            self._fail(Broken("no HTTP") if self._headed else Unreached("no HTTP"))
        if self._waiting > HIGH_WATER and self._streaming and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """A body without a length ends so; connection_lost tells whether it was whole."""
        if self._headed and not self._whole and not self.headers.keys() & {"content-length", "transfer-encoding"}:
            self.on_message_complete()
        return False

    # the parser's side

    def on_header(self, name: bytes, value: bytes) -> None:
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

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._wake()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """The timer: streams have moved their deadline meanwhile."""
        if self.loop.time() < self._deadline:
            self._timer = self.loop.call_at(self._deadline, self._look)
        else:
            self._timer = None
            self._fail(TimeoutError())
