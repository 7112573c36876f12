"""One client's connection to the server: reading within limits, answering in order, hanging up with a word.

llhttp (httptools) does the parsing; it refuses what could be read in two ways."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any, cast

import httptools
import structlog

from serving.gateway.errors import ApiError, too_large, unavailable
from serving.gateway.http.request import Request, failure

if TYPE_CHECKING:
    from serving.gateway.http.server import Server

log = structlog.get_logger()

FOREVER = float("inf")
LINGER_S = 2.0  # for a client to read why it was refused while it still sends
LONGEST_TARGET = 4_096
PIPELINED = 16  # requests waiting on one connection
CROWD = 2  # times as many connections as may be are told that there are too many; what is beyond is just ended


class Connection(asyncio.Protocol):
    """One client's connection: one request after the other, a pipelined one waits its turn."""

    __slots__ = (
        "_body",
        "_closing",
        "_deadline",
        "_fed",
        "_handling",
        "_head_size",
        "_headers",
        "_in_head",
        "_next",
        "_parsed",
        "_parser",
        "_refusal",
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
        self._refusal: ApiError | None = None  # of what came last, told once the others are answered
        self._resumed: asyncio.Future[None] | None = None  # while the client does not read
        self._stalled_s = FOREVER
        self._deadline = server.loop.time() + server.limits.head_s
        self._closing = False  # nothing that comes is read any more
        self._in_head = False  # what comes is kept by the parser: a head, or a chunk's size and trailers
        self._head_size = self._size = self._fed = 0
        self._target, self._headers = b"", dict[str, str]()
        self._body: bytes | bytearray = b""

    # the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)
        here, limit = len(self._server.connections), self._server.limits.connections
        if here > CROWD * limit:
            self._transport.abort()
        elif here > limit:
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
        if self._next and self._handling is None:
            self._turn()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._fed = len(data)
        self._feed(data)
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > self._server.limits.head_bytes:
                self._refuse(self._head_too_large())

    def _feed(self, data: bytes) -> None:
        while data and not self._closing:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade() + data[upgrade.args[0] :]
                continue
            except httptools.HttpParserCallbackError as error:
                self._refuse(refusal(error.__context__))
            except httptools.HttpParserError:
                self._refuse(bad_request())
            return

    def _without_upgrade(self) -> bytes:
        """The head of a request that asks to go on in another protocol (Java's client does with each first one), as
        if it had not: the parser takes its body for that protocol's."""
        headers, old = self._headers, self._parser
        lasts = "close" if "close" in headers.pop("connection").lower() else "keep-alive"
        del headers["upgrade"]
        first = f"{old.get_method().decode()} {self._target.decode()} HTTP/{old.get_http_version()}"
        lines = [first, f"connection: {lasts}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self._parser = httptools.HttpRequestParser(self)
        return "\r\n".join(lines).encode("latin-1")

    # the parser's side

    def on_message_begin(self) -> None:
        if self._closing:
            raise bad_request()  # stops the parser: more may have come in one piece
        self._in_head, self._head_size = True, -self._fed  # what came before it in the same piece is not its own
        self._target, self._headers, self._body, self._size = b"", {}, b"", 0
        if self._handling is None:
            self._deadline = self._server.loop.time() + self._server.limits.head_s

    def on_url(self, target: bytes) -> None:
        self._target += target
        if len(self._target) > LONGEST_TARGET:
            raise ApiError(414, f"the request's target is longer than {LONGEST_TARGET} bytes", code="target_too_long")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._parsed is None:  # else it is a trailer: whoever admitted the request has not seen it
            self._size += len(name) + len(value)
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._size > self._server.limits.head_bytes:
            raise self._head_too_large()
        self._size = 0
        if self._parser.should_upgrade():
            if "upgrade" not in self._headers:  # CONNECT
                raise bad_request()
            return
        request = self._parsed = self._request()
        self._admit(request)
        self._check_length(request)
        if self._handling is None and not self._next:
            self._await_body(request)

    def on_chunk_header(self) -> None:
        self._in_head, self._head_size = True, -self._fed

    def on_body(self, body: bytes) -> None:
        self._in_head = False
        self._size += len(body)
        if self._size > self._server.limits.body_bytes:
            raise too_large(self._server.limits.body_bytes, f"more than {self._server.limits.body_bytes} bytes")
        if self._parsed is None or self._parsed.refusal is not None:
            return
        if not self._body:
            self._body = body
        else:  # not a list: small pieces would take many times their bytes
            self._body = self._body if isinstance(self._body, bytearray) else bytearray(self._body)
            self._body += body

    def on_message_complete(self) -> None:
        request, self._parsed, self._in_head = self._parsed, None, False
        if request is None or self._closing:
            return
        request.body, self._body = bytes(self._body), b""
        if self._handling is None and self._resumed is None:
            self._begin(request)
        elif len(self._next) < PIPELINED:
            self._next.append(request)
            self._hold_back()
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
        if keep_alive and not self._server.draining:
            self._turn()
        else:
            self._close()

    def abort(self) -> None:
        self._transport.abort()

    # the server's side

    def look(self, now: float) -> None:
        """Ends what has waited too long: a head or a body that does not come, an answer that is not read."""
        if self._stalled_s < now:
            self._transport.abort()
        elif self._deadline < now and self._handling is None:
            if self._closing:
                self._transport.abort()
            elif self._in_head or self._parsed is not None:
                self._refuse(ApiError(408, "the request did not come whole in time", code="request_timeout"))
            else:
                self._close()

    def end_soon(self) -> None:
        """After what is asked already."""
        for request in (self._handling, self._parsed):
            if request is not None:
                request.keep_alive = False
        if self._handling is None and self._parsed is None and not self._in_head:
            self._close()

    def cut_off(self) -> asyncio.Task[None] | None:
        """Ends the connection; its request's task, cancelled, where one is under way."""
        task = self._task
        if task is not None:
            task.cancel()
        elif self._parsed is not None:
            self._refuse(unavailable("the gateway is ending", "shutting_down"))
        else:
            self._transport.abort()
        return task

    def _request(self) -> Request:
        parser, version = self._parser, self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise ApiError(505, "expected HTTP/1.1", code="http_version")
        method = parser.get_method().decode("latin-1")
        lasts = version == "1.1" and parser.should_keep_alive() and not self._server.draining
        return Request(self, method, self._target.decode("latin-1"), self._headers, version, lasts)

    def _admit(self, request: Request) -> None:
        try:
            self._server.application.admit(request)
        except ApiError as error:
            request.refusal = error

    def _check_length(self, request: Request) -> None:
        length, limit = request.headers.get("content-length", ""), self._server.limits.body_bytes
        if length.isdigit() and (len(length) > 15 or int(length) > limit):
            raise too_large(limit, f"{length[:20]} bytes")

    def _await_body(self, request: Request) -> None:
        """It is its turn. A client that asks before it sends its body gets its answer."""
        self._deadline = self._server.loop.time() + self._server.limits.body_s
        if request.expects and request.refusal is not None:
            self._refuse(request.refusal)
        elif request.expects:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _hold_back(self) -> None:
        """Reads on for a while, to notice when the client hangs up."""
        waiting = sum(len(request.body) for request in self._next)
        if len(self._next) >= PIPELINED // 2 or waiting > self._server.limits.body_bytes:
            self._transport.pause_reading()

    def _turn(self) -> None:
        """Whatever is next: a request that waits, once the client has read most of its answers; else what comes."""
        if self._next:
            if self._resumed is None:
                request = self._next.popleft()
                if not self._next:
                    self._transport.resume_reading()
                self._begin(request)
        elif self._refusal is not None:
            self._say_why(self._refusal)
        elif self._parsed is not None:
            self._await_body(self._parsed)
        else:
            limits = self._server.limits
            self._deadline = self._server.loop.time() + (limits.head_s if self._in_head else limits.idle_s)

    def _begin(self, request: Request) -> None:
        self._handling, self._deadline = request, FOREVER
        if request.refusal is not None:
            request.fail(request.refusal)
            return
        task = self._server.loop.create_task(self._server.application.serve(request))
        if self._handling is request:
            self._task = task

    def _refuse(self, error: ApiError) -> None:
        """Says why and ends the connection. What was asked before is answered first."""
        if self._closing:
            return
        self._closing, self._in_head, self._parsed, self._refusal = True, False, None, error
        if self._handling is None and not self._next:
            self._say_why(error)

    def _say_why(self, error: ApiError) -> None:
        """The connection ends once the client has had time to read it: closing at once would reset a client that
        still sends, and it would never know."""
        self.write(failure(error, keep_alive=False))
        self._deadline = self._server.loop.time() + LINGER_S
        if self._transport.can_write_eof() and not self._transport.is_closing():
            with contextlib.suppress(OSError):  # it is gone already
                self._transport.write_eof()

    def _close(self) -> None:
        """Once what is written is taken: that has its time too."""
        self._closing = True
        self._deadline = self._server.loop.time() + self._server.limits.write_s
        self._transport.close()

    def _head_too_large(self) -> ApiError:
        limit = self._server.limits.head_bytes
        return ApiError(431, f"the request's head is longer than {limit} bytes", code="head_too_large")


def refusal(error: BaseException | None) -> ApiError:
    """What a client is told of an error while its request was read."""
    if isinstance(error, ApiError):
        return error
    log.error("request not read", exc_info=error)
    return ApiError(500, "the gateway failed; its log says why", code="internal_error")


def bad_request() -> ApiError:
    return ApiError(400, "this is no HTTP/1.1 request", code="bad_request")
