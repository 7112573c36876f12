"""One client's connection: uvicorn's protocol, with a bound on everything that a client can make it keep or wait for.

llhttp (httptools) parses, and refuses requests that could be read in two ways. This module bounds what is read,
`transport` what is written."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import httptools
import structlog
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from serving.gateway.errors import ApiError
from serving.gateway.http.connections import Connections, network_of
from serving.gateway.http.limits import Limits
from serving.gateway.http.request import CLOSE, HANG_UP, fields
from serving.gateway.http.transport import FOREVER, LINGER_S, ClientTransport, Unbounded

log = structlog.get_logger()

PIPELINED = 16  # requests waiting on one connection
CROWD = 2  # times as many connections as may be get an answer that refuses them; those beyond are just ended
FRAMING = 8  # bytes that each byte of a body may bring along: a chunk of one byte brings five


@dataclass(slots=True)
class Shared:
    """The state that all connections of a listener share."""

    config: Config
    limits: Limits
    state: ServerState
    counts: Connections


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `deadline`: when the head, the body or the next request that the client owes must be there;
    `enforce_times` ends what is late, in place of uvicorn's timer after each response."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared.config, shared.state, {}, asyncio.get_running_loop())
        self._shared, self._limits = shared, shared.limits
        self._answering: RequestResponseCycle | None = None  # uvicorn's `cycle` is the one that was parsed last
        self._in_head = self._in_body = False  # of the message that was parsed last
        self._owes = False  # something else than when its deadline was set
        self._ignoring = False  # everything that comes
        self._fed = self._overhead = 0  # bytes of this piece; of the message, beyond its body's
        self._refusal: ApiError | None = None  # of what came last, for when the others are answered
        self.deadline = self.loop.time() + self._limits.head_s

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._wire = ClientTransport(transport, self._close)
        super().connection_made(cast(asyncio.Transport, self._wire))
        self._network = network_of(self.client[0] if self.client else "")
        in_all, of_address = self._shared.counts.enter(self._network)
        if max(in_all, of_address) > CROWD:
            transport.abort()
        elif max(in_all, of_address) > 1:
            of = "" if in_all > 1 else " of one address"
            self._refuse(ApiError(503, f"too many connections{of}", code="overloaded", headers={"retry-after": "1"}))

    def connection_lost(self, exc: Exception | None) -> None:
        self._ignoring = self._wire.ending = True
        _disconnect(self._answering)
        super().connection_lost(exc)
        self._shared.counts.leave(self._network)

    def data_received(self, data: bytes) -> None:
        self._fed = len(data)
        self._overhead += self._fed
        while data and not self._ignoring:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade() + data[upgrade.args[0] :]
                continue
            except httptools.HttpParserError as error:
                self._refuse(_reason(error.__context__ or error))
            break
        if self._overhead > self._limits.head_bytes and (self._in_head or self._in_body):
            self._refuse(self._head_too_large())
        if self._owes and not self._ignoring:
            self._set_deadline()

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED:
            raise _bad_request()
        self._in_head, self._owes, self._overhead = True, True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        limit, version = self._limits.head_bytes, self.parser.get_http_version()
        if self._fed > limit and len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > limit:
            raise self._head_too_large()
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise _bad_request()
            return
        if version not in ("1.1", "1.0"):
            raise ApiError(505, "expected HTTP/1.1", code="http_version")
        if not self.url.startswith(b"/"):
            raise ApiError(404, "expected a path as the request's target", code="unknown_path")
        self._in_body = True
        self.expect_100_continue = self.expect_100_continue and version == "1.1"
        super().on_headers_complete()
        if version == "1.0":  # it knows no chunks: an answer ends with the connection
            self.cycle.chunked_encoding, self.cycle.expected_content_length = False, Unbounded()
        self.headers = []  # for trailers, which the check that admits the request does not see
        self._owes = True
        self._hold_back()

    def on_body(self, body: bytes) -> None:
        self._overhead -= (1 + FRAMING) * len(body)
        super().on_body(body)
        self._hold_back()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            self._in_body, self._owes = False, True
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Begin the request that waits next, or send the error that came after the last one."""
        if self._wire.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal is not None:
            self._send_refusal(self._refusal)
            return
        self._set_deadline()

    def enforce_times(self, now: float) -> None:
        """End what has waited too long: a head or a body that does not come, an answer that is not read."""
        self._wire.end_if_stalled(now, self._limits.write_s)
        if self.deadline < now:
            if self._wire.ending:
                self._wire.abort()
            elif self._in_head or self._in_body:
                self._refuse(ApiError(408, "the request did not come whole in time", code="request_timeout"))
            else:
                self._close()

    @property
    def _busy(self) -> bool:
        cycle = self._answering
        return cycle is not None and not (cycle.response_complete or cycle.disconnected)

    def _set_deadline(self) -> None:
        """Give the client its time for what it owes now; while it waits for an answer it owes nothing."""
        limits = self._limits
        if self._in_body and not self.pipeline:  # the body of the request that is served
            time_s = limits.body_s
        elif self._busy:
            time_s = FOREVER
        else:
            time_s = limits.head_s if self._in_head else limits.idle_s
        self._owes = False
        self.deadline = self.loop.time() + time_s

    def _hold_back(self) -> None:
        """Read on behind a request that is answered, but not much: to notice when the client hangs up."""
        if self.pipeline:
            waiting, most = sum(len(cycle.body) for cycle, _ in self.pipeline), self._limits.body_bytes
            much = len(self.pipeline) > PIPELINED // 2 or waiting > min(most, HIGH_WATER_LIMIT)
            self.flow.pause_reading() if much else self.flow.resume_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _without_upgrade(self) -> bytes:
        """Return the head of a request that asks to go on in another protocol (Java's client does with each first
        one), as if it had not: the parser takes its body for that protocol's."""
        old, self.parser = self.parser, httptools.HttpRequestParser(self)
        own = b", ".join(value.lower() for name, value in self.headers if name == b"connection")
        lines = [b"connection: " + (b"close" if b"close" in own else b"keep-alive")]
        lines += [name + b": " + value for name, value in self.headers if name not in (b"connection", b"upgrade")]
        first = b"%b %b HTTP/%b" % (old.get_method(), self.url, old.get_http_version().encode())
        return b"\r\n".join([first, *lines, b"", b""])

    def _refuse(self, error: ApiError) -> None:
        """Read nothing more, answer what was asked before, then answer with the error and end the connection."""
        if self._ignoring:
            return
        self._ignoring = True
        if self._in_body:  # it has begun, or waits
            _disconnect(self.pipeline.popleft()[0] if self.pipeline else self.cycle)
        if self._busy:
            self._refusal = error
        else:
            self._send_refusal(error)

    def _send_refusal(self, error: ApiError) -> None:
        body = error.body()
        lines = [*self.server_state.default_headers, *fields(error), (b"content-length", b"%d" % len(body)), CLOSE]
        self._wire.write(
            b"".join([STATUS_LINE[error.status], *(b"%b: %b\r\n" % each for each in lines), b"\r\n", body])
        )
        self._linger()

    def _close(self) -> None:
        """Close, for uvicorn: at once where nothing of a request is still to come."""
        if self._wire.ending:
            return
        self._ignoring = True
        if self._in_head or self._in_body:
            self._linger()
        else:
            self.deadline = FOREVER  # a slow client may take the rest of its answer
            self._wire.finish()

    def _linger(self) -> None:
        self.deadline = self.loop.time() + LINGER_S
        self.flow.resume_reading()
        self._wire.linger()

    def _head_too_large(self) -> ApiError:
        limit = self._limits.head_bytes
        return ApiError(431, f"the request's head is longer than {limit} bytes", code="head_too_large")


def _disconnect(cycle: RequestResponseCycle | None) -> None:
    if cycle is not None:
        cycle.disconnected = True
        cycle.message_event.set()
        if hang_up := cast(dict[str, Any], cycle.scope).get(HANG_UP):
            hang_up()


def _reason(error: BaseException) -> ApiError:
    """Return the answer to an error of the parser, or of a callback of ours."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, httptools.HttpParserError | UnicodeError):
        return _bad_request()
    log.error("request not read", exc_info=error)
    return ApiError(500, "the gateway failed; its log says why", code="internal_error")


def _bad_request() -> ApiError:
    return ApiError(400, "this is no HTTP/1.1 request", code="bad_request")
