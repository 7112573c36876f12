"""One try with one replica: its answer is captured, then passed on to the client."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import structlog

from monitor.canonical import UNREADABLE
from monitor.metrics import normalise
from serving import metrics
from serving.gateway.capture import Capture
from serving.gateway.engines.ejection import Ejection
from serving.gateway.engines.failure import engine_loss, error_body, not_understood, passed_back
from serving.gateway.engines.link import Broken, Link, Unreached
from serving.gateway.engines.pool import EnginePool
from serving.gateway.engines.retry import Deaths
from serving.gateway.errors import ApiError
from serving.gateway.exchange import Exchange
from serving.gateway.http.request import Header, Request
from serving.gateway.observation import attributes
from serving.gateway.openai import reply_body
from serving.gateway.openai.request_body import PATHS
from serving.gateway.openai.sse import BLANK, MARK, EventSplitter
from serving.gateway.patience import Patience
from serving.routes.routing import Choice
from serving.settings import GatewaySettings
from streams.identity import RequestId, Signer
from streams.telemetry.spans import Trace, Value

log = structlog.get_logger()

NEARLY = 0.99  # of the time: timers and clocks differ
TRACING = ("traceparent", "tracestate")  # from the client's headers to the engine
MOST_EVENT_BYTES = 16_777_216  # of a stream


@dataclass(slots=True)
class Forward:
    """The way to the replicas that clients' requests and their shadows share. `load`: requests under way, by
    replica."""

    settings: GatewaySettings
    pool: EnginePool
    signer: Signer
    capture: Capture
    ejection: Ejection
    load: Counter[str] = field(default_factory=Counter)
    deaths: Deaths = field(init=False)

    def __post_init__(self) -> None:
        self.deaths = Deaths(self.pool)

    async def ask(self, exchange: Exchange, choice: Choice, patience: Patience, client: Request | None = None) -> None:
        """Send the request to one replica and pass its answer on. `client` is None for a shadow, whose answer only
        the log gets. Raise Unreached where the client has seen nothing yet, or ApiError."""
        exchange.choice, began_s = choice, time.monotonic()
        trace = client.trace if client is not None else None
        if trace is not None:
            path = PATHS[exchange.asked.operation]
            trace.begin_call(f"POST {path}", attributes.call(choice, path))
        self._count(choice.replica, 1)
        try:
            await self._send(exchange, choice, patience, client)
        except TimeoutError as error:
            self._unanswered(choice, began_s)
            raise ApiError(
                504, f"no answer within {patience}", code="engine_timeout", headers=patience.spent
            ) from error
        except asyncio.CancelledError:
            if not exchange.complete and exchange.first_s is None:  # a stream's head alone is no answer
                self._unanswered(choice, began_s)
            raise
        finally:
            self.ejection.undecided(choice.replica)
            self._count(choice.replica, -1)
            if trace is not None:
                _end_call(trace, exchange)

    def break_off(self, exchange: Exchange, status: int, message: str, client: Request | None) -> None:
        """End a stream whose client has its 200 already: its last event is an error, and no `[DONE]` follows."""
        if exchange.complete:
            return
        exchange.status = status
        self.capture(exchange)
        log.warning("stream broken", event_id=exchange.event_id, status=status, error=message)
        if client is not None:
            error = b"data: " + ApiError(status, message, code="engine_failed").body()
            client.end(b"".join(each + BLANK for each in (*reply_body.rest(exchange.answer), error)))

    async def _send(self, exchange: Exchange, choice: Choice, patience: Patience, client: Request | None) -> None:
        asked, headers = exchange.asked, _tracing(client) if client is not None else b""
        body = asked.forwarded(choice.version)
        link = await self.pool.ask(choice.url, PATHS[asked.operation], body, patience.left_s, headers)
        try:
            if (loss := engine_loss(link)) is not None:
                await link.read()
                raise loss
            if asked.streamed and link.status == 200 and not _is_json(link):
                await self._stream(exchange, choice, patience, link, client)
            else:
                await self._whole(exchange, choice, link, client)
        finally:
            link.release()

    async def _whole(self, exchange: Exchange, choice: Choice, link: Link, client: Request | None) -> None:
        data = (await link.read()).removeprefix(MARK)
        self.ejection.active(choice.replica)
        if link.status == 404 and choice.version.encode() in data:
            raise Unreached(f"it lost {choice.version}")
        if link.status in (401, 403):  # the key is ours, and no client's business
            log.error("an engine refuses our key", replica=choice.replica, status=link.status)
            raise Unreached(f"it refuses our key with status {link.status}")
        data = self._understood(exchange, link, data)
        exchange.status = link.status
        digest = self._digest(exchange) if link.status == 200 else ""
        self.capture(exchange)
        self.ejection.answered(choice.replica)
        if client is not None:
            client.answer(link.status, data, self._headers(exchange, choice, link, "application/json", digest))

    def _understood(self, exchange: Exchange, link: Link, data: bytes) -> bytes:
        """Return the body for the client. Raise ApiError where the engine gave none that is meant for a client."""
        if link.status != 200:
            return error_body(link, data, PATHS[exchange.asked.operation])
        try:
            data, exchange.answer = reply_body.whole(data, exchange.asked)
        except UNREADABLE:
            raise not_understood(link) from None
        return data if exchange.rename is None else exchange.rename.whole(data)

    async def _stream(
        self, exchange: Exchange, choice: Choice, patience: Patience, link: Link, client: Request | None
    ) -> None:
        exchange.status = 200
        if client is not None:
            own = self._headers(exchange, choice, link, "text/event-stream; charset=utf-8", "")
            client.start(200, [*own, (b"cache-control", b"no-cache")], at_once=not link.waiting)
        try:
            await self._pass_on(exchange, choice, link, client)
            self.ejection.answered(choice.replica)
        except TimeoutError:
            self._unanswered(choice, time.monotonic() - patience.left_s)
            self.break_off(exchange, 504, f"no chunk within {patience}", client)
        except Broken as error:
            self.deaths.note(choice.replica)
            self.ejection.failed(choice.replica)
            self.break_off(exchange, 502, f"the engine {error}", client)

    async def _pass_on(self, exchange: Exchange, choice: Choice, link: Link, client: Request | None) -> None:
        """Pass a stream's events on. Raise Broken where it ends before its last one."""
        splitter = EventSplitter()
        async for piece in link.stream():
            self.ejection.active(choice.replica)
            if exchange.complete or len(splitter.rest) > MOST_EVENT_BYTES:
                break  # the client has all it gets, and the engine sends more; or it never ends an event
            await self._give(splitter.feed(piece), exchange, client)
        if not exchange.complete and reply_body.is_event(splitter.rest):
            await self._give(splitter.end(), exchange, client)
        if not exchange.complete:
            raise Broken("ended its answer early")

    async def _give(self, events: list[bytes], exchange: Exchange, client: Request | None) -> None:
        """Send the client what it gets of these events. The stream's last ones are captured first."""
        data = b"".join(part for event in events for each in _taken(event, exchange) for part in (each, BLANK))
        if exchange.answer.complete:
            # the connection may be used again once the engine's answer is over
            exchange.complete, exchange.status = True, 500 if exchange.answer.failed else 200
            self.capture(exchange)
            if client is not None:
                client.end(data)
        elif data and client is not None:
            await client.chunk(data)

    def _unanswered(self, choice: Choice, began_s: float) -> None:
        """Note that the time was up, the client's or the operator's. The operator's is long enough for any answer."""
        if time.monotonic() - began_s >= NEARLY * self.settings.timeout_s:
            self.ejection.failed(choice.replica, silent=True)
        elif not self.ejection.unanswered(choice.replica, began_s):
            return
        log.warning("replica does not answer", replica=choice.replica, version=choice.version)

    def _count(self, replica: str, by: int) -> None:
        if replica not in self.load:
            metrics.IN_FLIGHT.labels(replica).set_function(lambda: self.load[replica])
        self.load[replica] += by

    def _digest(self, exchange: Exchange) -> str:
        """Return the answer's digest; empty where a label cannot be compared with the answer."""
        masked = self.capture.compared(exchange)
        return "" if masked is None else self.signer.answer_digest(exchange.event_id, normalise(masked))

    def _headers(self, exchange: Exchange, choice: Choice, link: Link, usual_type: str, digest: str) -> list[Header]:
        assigned = "" if choice.assigned is choice.arm else choice.assigned.value
        asked = RequestId(exchange.event_id, choice.version, choice.arm.value, digest, exchange.tenant, assigned)
        signed = self.signer.sign(asked)
        return [
            (b"content-type", link.headers.get("content-type", usual_type).encode("latin-1")),
            (b"x-homeostat-version", choice.version.encode()),
            (b"x-homeostat-request-id", signed.encode()),
            *((name.encode(), value.encode("latin-1")) for name, value in passed_back(link).items()),
        ]


def _taken(event: bytes, exchange: Exchange) -> list[bytes]:
    """Take one event of the engine and return those that the client gets now."""
    before = exchange.answer.pieces
    passed = reply_body.event(event, exchange.asked, exchange.answer)
    if exchange.answer.pieces > before:
        exchange.last_s = time.perf_counter()
        exchange.first_s = exchange.first_s or exchange.last_s
    return passed if exchange.rename is None else [exchange.rename.event(each) for each in passed]


def _is_json(link: Link) -> bool:
    """Return whether an engine that was asked for a stream gives one piece."""
    return link.headers.get("content-type", "").lower().startswith("application/json")


def _end_call(trace: Trace, exchange: Exchange) -> None:
    """End the try's span; the error that is under way, if any, says how it went."""
    error, status = sys.exception(), exchange.status
    answered: dict[str, Value] = {"http.response.status_code": status} if status else {}
    problem = type(error).__name__ if error is not None else str(status) if status >= 500 else ""
    trace.end_call(problem, answered)


def _tracing(client: Request) -> bytes:
    """Return the lines that carry the client's trace context to the engine, where the try's span takes the client's
    place."""
    if client.trace is not None:
        client.headers["traceparent"] = client.trace.traceparent
    lines = [f"{name}: {client.headers[name]}\r\n" for name in TRACING if name in client.headers]
    return "".join(lines).encode("latin-1")
