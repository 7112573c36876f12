"""An HTTP/1.1 server for one application, with a bound on everything a client can make it keep or wait for.

Its own, because the gateway's budget leaves no room for a general one: uvicorn with aiohttp's client, passing bodies
through and nothing else, adds more than the gateway may as a whole (`make bench-serving` measures both in one run).
llhttp (httptools) does the parsing; it refuses what could be read in two ways."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol, cast

import httptools
import structlog

from serving.errors import ApiError, too_large
from serving.request import Request, failure

log = structlog.get_logger()

BACKLOG = 4_096
SWEEP_S = 0.25
FOREVER = float("inf")
LINGER_S = 2.0  # for a client to read why it was refused while it still sends
LONGEST_TARGET = 4_096
PIPELINED = 16  # requests waiting on one connection


class Application(Protocol):
    """Who answers. Both must be quick to return or to await."""

    def admit(self, request: Request) -> None:
        """Before the body is read. Raises ApiError to refuse."""

    async def serve(self, request: Request) -> None:
        """Answers the request, whatever happens; cancelled when the client is gone or the server must stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may take. Times in seconds."""

    head_bytes: int = 16_384
    body_bytes: int = 1_048_576
    head_s: float = 10.0  # for a whole head
    body_s: float = 30.0  # and a whole body
    write_s: float = 30.0  # for a client that does not read
    idle_s: float = 75.0  # between two requests
    connections: int = 10_000


class Server:
    """Listens from `start` to `drain`."""

    def __init__(self, application: Application, limits: Limits) -> None:
        self.application, self.limits = application, limits
        self.connections: set[Connection] = set()
        self.draining = False
        self._emptied = asyncio.Event()
        self._listening: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None, *, share_port: bool = False) -> None:
        """Accepts connections. `share_port`: other processes may listen there too, the system spreads clients."""
        self.loop = asyncio.get_running_loop()
        self._listening = await self.loop.create_server(
            lambda: Connection(self), host, port, ssl=tls, backlog=BACKLOG, reuse_port=share_port or None
        )
        self._sweeper = self.loop.create_task(self._sweep())

    async def drain(self, timeout_s: float) -> None:
        """Accepts nobody new, lets requests under way end within the time, cuts the rest off."""
        self.draining = True
        if self._listening is not None:
            self._listening.close()
        for connection in list(self.connections):
            connection.close_if_idle()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty(), timeout_s)
        tasks = [task for connection in list(self.connections) if (task := connection.cut_off()) is not None]
        if tasks:
            log.warning("requests cut off by the end of the gateway", requests=len(tasks))
            await asyncio.wait(tasks, timeout=1.0)
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _empty(self) -> None:
        self._emptied.clear()
        if self.connections:
            await self._emptied.wait()

    def left(self, connection: Connection) -> None:
        """A connection is over."""
        self.connections.discard(connection)
        if not self.connections:
            self._emptied.set()

    async def _sweep(self) -> None:
        """One timer for all connections: a timer for each request would cost more than the request's parsing."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = self.loop.time()
            for connection in list(self.connections):
                connection.look(now)


class Connection(asyncio.Protocol):
    """One client's connection: one request after the other, a pipelined one waits its turn."""

    __slots__ = (
        "_body",
        "_closing",
        "_deadline",
        "_handling",
        "_head_size",
        "_headers",
        "_in_head",
        "_next",
        "_parsed",
        "_parser",
        "_resumed",
        "_server",
        "_size",
        "_stalled_s",
        "_target",
        "_task",
        "_transport",
    )

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser: Any = httptools.HttpRequestParser(self)
        self._handling: Request | None = None  # answered now
        self._parsed: Request | None = None  # its body is still coming
        self._next: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._resumed: asyncio.Future[None] | None = None  # while the client does not read
        self._stalled_s = FOREVER
        self._deadline = server.loop.time() + server.limits.head_s
        self._closing = self._in_head = False
        self._head_size = self._size = 0
        self._target, self._headers, self._body = b"", dict[str, str](), list[bytes]()

    # the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)
        if len(self._server.connections) > self._server.limits.connections:
            self._refuse(ApiError(503, "too many connections", code="overloaded", headers={"retry-after": "1"}))

    def connection_lost(self, error: Exception | None) -> None:
        self._server.left(self)
        self._closing = True
        self._next.clear()
        self.resume_writing()
        if self._handling is not None:
            self._handling.gone = True
            if self._task is not None:
                self._task.cancel()

    def pause_writing(self) -> None:
        self._resumed = self._server.loop.create_future()
        self._stalled_s = self._server.loop.time() + self._server.limits.write_s

    def resume_writing(self) -> None:
        resumed, self._resumed, self._stalled_s = self._resumed, None, FOREVER
        if resumed is not None and not resumed.done():
            resumed.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, ApiError) else bad_request())
        except httptools.HttpParserUpgrade:
            self._refuse(ApiError(400, "this server speaks HTTP/1.1 and nothing else", code="bad_request"))
        except httptools.HttpParserError:
            self._refuse(bad_request())
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > self._server.limits.head_bytes:
                self._refuse(self._head_too_large())

    # the parser's side

    def on_message_begin(self) -> None:
        self._in_head, self._head_size = True, 0
        self._target, self._headers, self._body, self._size = b"", {}, [], 0
        if self._handling is None:
            self._deadline = self._server.loop.time() + self._server.limits.head_s

    def on_url(self, target: bytes) -> None:
        self._target += target
        if len(self._target) > LONGEST_TARGET:
            raise ApiError(414, f"the request's target is longer than {LONGEST_TARGET} bytes", code="target_too_long")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value)
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._size > self._server.limits.head_bytes:
            raise self._head_too_large()
        self._size = 0
        version, parser = self._parser.get_http_version(), self._parser
        if version not in ("1.1", "1.0"):
            raise ApiError(505, "expected HTTP/1.1", code="http_version")
        request = Request(
            self,
            parser.get_method().decode("latin-1"),
            self._target.decode("latin-1"),
            self._headers,
            version,
            parser.should_keep_alive() and not self._server.draining,
        )
        self._parsed = request
        if self._handling is None:
            self._deadline = self._server.loop.time() + self._server.limits.body_s
            self._admit(request)
        self._expect(request)

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._server.limits.body_bytes:
            raise too_large(self._server.limits.body_bytes, f"more than {self._server.limits.body_bytes} bytes")
        if self._parsed is not None and self._parsed.refusal is None:
            self._body.append(body)

    def on_message_complete(self) -> None:
        request, self._parsed = self._parsed, None
        if request is None:
            return
        request.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        if self._handling is None:
            self._begin(request)
        elif len(self._next) < PIPELINED:
            self._next.append(request)
            self._transport.pause_reading()
        else:
            raise bad_request()

    # the request's side

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drained(self) -> None:
        if self._resumed is not None:
            await self._resumed

    def ended(self, *, keep_alive: bool) -> None:
        self._handling = self._task = None
        if not keep_alive or self._server.draining:
            self._closing = True
            self._transport.close()
        elif self._next:
            request = self._next.popleft()
            if not self._next:
                self._transport.resume_reading()
            self._admit(request)
            self._begin(request)
        else:
            self._deadline = self._server.loop.time() + self._server.limits.idle_s

    def abort(self) -> None:
        self._transport.abort()

    # the server's side

    def look(self, now: float) -> None:
        """Ends what has waited too long: a head or a body that does not come, an answer that is not read."""
        if self._stalled_s < now:
            self._transport.abort()
        elif self._deadline < now and self._handling is None:
            self._deadline = FOREVER
            if self._closing:
                self._transport.abort()
            elif self._in_head or self._parsed is not None:
                self._refuse(ApiError(408, "the request did not come whole in time", code="request_timeout"))
            else:
                self._closing = True
                self._transport.close()

    def close_if_idle(self) -> None:
        if self._handling is None and self._parsed is None and not self._in_head:
            self._closing = True
            self._transport.close()

    def cut_off(self) -> asyncio.Task[None] | None:
        """Ends the connection; its request's task, cancelled, where one is under way."""
        task = self._task
        if task is not None:
            task.cancel()
        else:
            self._transport.abort()
        return task

    def _admit(self, request: Request) -> None:
        try:
            self._server.application.admit(request)
        except ApiError as error:
            request.refusal = error

    def _begin(self, request: Request) -> None:
        self._handling, self._deadline = request, FOREVER
        if request.refusal is not None:
            request.fail(request.refusal)
            return
        task = self._server.loop.create_task(self._server.application.serve(request))
        if self._handling is request:
            self._task = task

    def _expect(self, request: Request) -> None:
        """A client that asks before it sends its body gets its answer; one that announces too much gets it too."""
        length = request.headers.get("content-length", "")
        limit = self._server.limits.body_bytes
        if length.isdigit() and (len(length) > 15 or int(length) > limit):
            raise too_large(limit, f"{length[:20]} bytes")
        if request.headers.get("expect", "").lower() == "100-continue":
            if request.refusal is not None:
                raise request.refusal
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, error: ApiError) -> None:
        """Says why and ends the connection, once the client has had time to read it: closing at once would reset a
        client that still sends, and it would never know. What it asked before is answered first, if it can be."""
        if self._closing:
            return
        self._closing, self._in_head, self._parsed = True, False, None
        self._next.clear()
        if self._handling is not None:
            self._transport.abort()  # in the midst of another's answer there is no place for ours
            return
        self.write(failure(error, keep_alive=False))
        self._deadline = self._server.loop.time() + LINGER_S
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _head_too_large(self) -> ApiError:
        limit = self._server.limits.head_bytes
        return ApiError(431, f"the request's head is longer than {limit} bytes", code="head_too_large")


def bad_request() -> ApiError:
    return ApiError(400, "this is no HTTP/1.1 request", code="bad_request")
