"""A request's way: pick a version, ask a replica, keep what was said, answer the client."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from monitor.metrics import normalise
from serving import metrics
from serving.gateway.capture import Capture, Exchange, count
from serving.gateway.engines.ejection import Ejection
from serving.gateway.engines.health import Standing
from serving.gateway.engines.link import Broken, Died, Link, Unreached
from serving.gateway.engines.pool import Upstream
from serving.gateway.engines.retry import UNREACHED, Deaths, lost
from serving.gateway.errors import STAY, UNREADABLE, ApiError, cut, unavailable
from serving.gateway.http.request import Header, Request
from serving.gateway.openai import bounds
from serving.gateway.openai import reply_body as reply
from serving.gateway.openai import request_body as question
from serving.gateway.openai.request_body import PATHS, Asked, Operation
from serving.gateway.openai.sse import BLANK, MARK, Events
from serving.gateway.patience import Patience
from serving.gateway.shadow import Shadow
from serving.routes.routing import Choice, NoReplica, RouteTable, UnknownAlias, pick
from serving.settings import GatewaySettings
from streams.identity import RequestId, Signer, uuid7
from streams.kinds import Arm

log = structlog.get_logger()

HUNG_UP = 499
LONGEST_REASON = 2_000  # characters of why an engine refused
NEARLY = 0.99  # of the time: timers and clocks differ
PASSED_BACK = ("retry-after", "retry-after-ms", "x-request-id")  # from the engine's headers to the client
PASSED = ("traceparent", "tracestate")  # from the client's headers to the engine
MOST_EVENT_BYTES = 16_777_216  # of a stream


@dataclass(slots=True)
class Inference:
    """`table` is asked anew for each request, so a route takes effect at once."""

    settings: GatewaySettings
    table: Callable[[], RouteTable]
    upstream: Upstream
    signer: Signer
    capture: Capture
    ejection: Ejection
    shadow: Shadow
    standing: Standing
    load: Counter[str] = field(default_factory=Counter)  # requests under way, by replica
    deaths: Deaths = field(init=False)
    _turn: int = 0

    def __post_init__(self) -> None:
        self.deaths = Deaths(self.upstream)

    async def serve(self, request: Request, operation: Operation) -> None:
        """Answers the request, whatever happens, once it is captured. Raises ApiError for a body that is wrong and an
        alias that is not known: nobody was asked then."""
        began_s = time.perf_counter()
        asked = question.asked(request.body, operation)
        table = self.table()
        if asked.alias not in table.routes:
            raise unknown(asked.alias, table)
        self._check_prompt(asked)
        bounds.check(asked, self.settings)
        exchange = Exchange(uuid7(), asked, request.key.id, self._tags(request), began_s)
        exchange.conversation = request.headers.get("x-session-id", "")
        patience = Patience.of(request.headers, self.settings.timeout_s)
        try:
            await self._answer(request, exchange, patience)
        except asyncio.CancelledError:
            self._cut_off(request, exchange)
        except ApiError as error:
            exchange.status = error.status
            self.capture(exchange)
            request.fail(error)
        except Exception:  # a defect: whoever serves tells the client
            exchange.status = 500
            raise
        finally:
            self.capture(exchange)
            count(exchange)
        if exchange.status == 200 and not request.gone:
            self.shadow.mirror(asked, exchange, self)

    async def ask(self, request: Request, exchange: Exchange, choice: Choice, patience: Patience) -> None:
        """One try with one replica. Raises Unreached where the client has seen nothing yet, ApiError."""
        exchange.choice, began_s = choice, time.monotonic()
        self._count(choice.replica, 1)
        try:
            await self._forward(request, exchange, choice, patience)
        except TimeoutError as error:
            self._unheard(choice, began_s)
            raise ApiError(
                504, f"no answer within {patience}", code="engine_timeout", headers=patience.spent
            ) from error
        except asyncio.CancelledError:
            if not request.done and exchange.first_s is None:  # a stream's head alone is no answer
                self._unheard(choice, began_s)
            raise
        finally:
            self.ejection.undecided(choice.replica)
            self._count(choice.replica, -1)

    def _unheard(self, choice: Choice, began_s: float) -> None:
        """The time was up, the client's or the operator's. The latter is long enough for any answer."""
        if time.monotonic() - began_s >= NEARLY * self.settings.timeout_s:
            self.ejection.failed(choice.replica, silent=True)
        elif not self.ejection.unheard(choice.replica, began_s):
            return
        log.warning("replica does not answer", replica=choice.replica, version=choice.version)

    async def _answer(self, request: Request, exchange: Exchange, patience: Patience) -> None:
        problem, died, deadline = "", False, time.monotonic() + patience.limit_s
        for _ in range(self.settings.tries):
            choice, began_s = self._pick(request, exchange), time.monotonic()
            self.ejection.trying(choice.replica)
            try:
                await self.ask(request, exchange, choice, patience.with_left(deadline - began_s))
                return
            except Unreached as error:
                problem = self._failed(choice, error)
                if isinstance(error, Died):
                    await self.deaths.check(error, choice.replica, choice.url, began_s, self.load[choice.replica])
                    if died:
                        raise lost(f"two replicas gave no answer; the last one: {problem}", UNREACHED) from error
                    died = True
        raise unavailable(f"no replica gave an answer; the last one: {problem}", UNREACHED)

    def _failed(self, choice: Choice, error: Unreached) -> str:
        self.ejection.failed(choice.replica)
        metrics.RETRIES.labels(choice.replica).inc()
        log.warning("replica not reached", replica=choice.replica, version=choice.version, error=str(error))
        return str(error)

    def _pick(self, request: Request, exchange: Exchange) -> Choice:
        asked, table = exchange.asked, self.table()
        sticky = exchange.conversation or asked.user or exchange.event_id
        self._turn += 1
        try:
            return pick(
                table, asked.alias, sticky, self.load, self.ejection.avoided(), self._turn, self.standing.stale()
            )
        except UnknownAlias as error:
            raise unknown(asked.alias, table) from error
        except NoReplica as error:
            exchange.choice = Choice(asked.alias, error.version, Arm.CHAMPION, "", "")
            raise unavailable(str(error)) from error

    async def _forward(self, request: Request, exchange: Exchange, choice: Choice, patience: Patience) -> None:
        asked = exchange.asked
        body, passed = asked.forwarded(choice.version), _passed(request)
        link = await self.upstream.ask(choice.url, PATHS[asked.operation], body, patience.left_s, passed)
        try:
            if asked.streamed and link.status == 200 and not _json(link):
                await self._stream(request, exchange, choice, link, patience)
            else:
                await self._whole(request, exchange, choice, link)
        finally:
            link.release()

    async def _whole(self, request: Request, exchange: Exchange, choice: Choice, link: Link) -> None:
        data = (await link.read()).removeprefix(MARK)
        self.ejection.heard(choice.replica)
        if link.status == 404 and choice.version.encode() in data:
            raise Unreached(f"it lost {choice.version}")
        data = self._understood(exchange, link, data)
        exchange.status = link.status
        digest = self._digest(exchange) if link.status == 200 else ""
        kind = link.headers.get("content-type", "application/json").encode("latin-1")
        self.capture(exchange)
        told = [(b"content-type", kind), *self._identity(exchange, choice, digest), *_passed_back(link)]
        self.ejection.answered(choice.replica)
        request.answer(link.status, data, told)

    def _understood(self, exchange: Exchange, link: Link, data: bytes) -> bytes:
        """The body for the client. Raises ApiError where the engine does not know the path, or says nothing that is
        meant for a client."""
        refused = 400 <= link.status < 500 and link.status != 404
        try:
            if link.status == 200:
                data, exchange.answer = reply.whole(data, exchange.asked)
                return data
            if "error" in (said := msgspec.json.decode(data, type=dict[str, Any])):
                return data
            if (refused or link.status >= 500) and (why := said.get("message") or said.get("detail")):
                code = "engine_refused" if refused else "engine_failed"
                raise ApiError(link.status, _sentence(why), code=code, headers=_told_by(link))
        except UNREADABLE:
            pass
        if link.status == 404:
            path = PATHS[exchange.asked.operation]
            raise ApiError(404, f"the engine does not serve {path} for this model", code="not_supported")
        if refused:  # also by what stands before an engine
            raise ApiError(link.status, _plain(link, data), code="engine_refused", headers=_told_by(link))
        message = f"the engine's answer (status {link.status}) is not understood"
        raise ApiError(502, message, code="engine_failed", headers=_told_by(link))

    async def _stream(
        self, request: Request, exchange: Exchange, choice: Choice, link: Link, patience: Patience
    ) -> None:
        exchange.status = 200
        kind = link.headers.get("content-type", "text/event-stream; charset=utf-8").encode("latin-1")
        own = [(b"content-type", kind), (b"cache-control", b"no-cache"), *self._identity(exchange, choice, "")]
        request.start(200, [*own, *_passed_back(link)], at_once=not link.waiting)
        try:
            await self._pass_on(request, exchange, choice, link)
            self.ejection.answered(choice.replica)
        except TimeoutError:
            self._unheard(choice, time.monotonic() - patience.left_s)
            self._break(request, exchange, 504, f"no chunk within {patience}")
        except Broken as error:
            self.deaths.note(choice.replica)
            self.ejection.failed(choice.replica)
            self._break(request, exchange, 502, f"the engine {error}")

    async def _pass_on(self, request: Request, exchange: Exchange, choice: Choice, link: Link) -> None:
        """Passes the stream's events on; Broken where it ends before its last one."""
        cut = Events()
        async for piece in link.stream():
            self.ejection.heard(choice.replica)
            if exchange.complete or len(cut.rest) > MOST_EVENT_BYTES:
                break  # the client has all it gets, and the engine says more; or it never ends what it says
            if passed := self._passed_on(cut.feed(piece), request, exchange):
                await request.chunk(passed)
        last = cut.end() if not exchange.complete and reply.is_event(cut.rest) else []
        if passed := self._passed_on(last, request, exchange) if last else b"":
            await request.chunk(passed)
        if not exchange.complete:
            raise Broken("ended its answer early")

    def _passed_on(self, events: list[bytes], request: Request, exchange: Exchange) -> bytes:
        """What the client gets of these events; all of it is sent, and nothing returned, where they are the last."""
        passed = b"".join(part for event in events for each in self._event(event, exchange) for part in (each, BLANK))
        if not exchange.answer.complete:
            return passed
        # the connection may be used again once the engine's answer is over
        exchange.complete, exchange.status = True, 500 if exchange.answer.failed else 200
        self.capture(exchange)
        request.end(passed)
        return b""

    def _event(self, event: bytes, exchange: Exchange) -> list[bytes]:
        """The events that the client gets now that the engine sent one more."""
        before = exchange.answer.pieces
        passed = reply.event(event, exchange.asked, exchange.answer)
        if exchange.answer.pieces > before:
            exchange.last_s = time.perf_counter()
            exchange.first_s = exchange.first_s or exchange.last_s
        return passed

    def _break(self, request: Request, exchange: Exchange, status: int, message: str) -> None:
        """The client has its 200 already: it gets an error as the stream's last event, and no `[DONE]`."""
        if exchange.complete:
            return
        exchange.status = status
        self.capture(exchange)
        log.warning("stream broken", event_id=exchange.event_id, status=status, error=message)
        error = b"data: " + ApiError(status, message, code="engine_failed").body()
        request.end(b"".join(each + BLANK for each in (*reply.rest(exchange.answer), error)))

    def _cut_off(self, request: Request, exchange: Exchange) -> None:
        """The client is gone, or the gateway has to end before the answer is there."""
        if exchange.complete:
            return
        if request.gone:
            exchange.status = HUNG_UP
            return
        exchange.status = 503
        self.capture(exchange)
        if not request.started:
            request.keep_alive = False
            request.fail(unavailable("the gateway is ending", "shutting_down"))
        elif not request.done:
            self._break(request, exchange, 503, "the gateway is ending")

    def _check_prompt(self, asked: Asked) -> None:
        if asked.asks_of_prompt and not self.settings.prompt_logprobs:
            message = (
                f"{asked.asks_of_prompt}: the prompt's log-probabilities are not served, expected none to be asked"
            )
            raise ApiError(400, message, asked.asks_of_prompt, "not_supported")

    def _count(self, replica: str, by: int) -> None:
        if replica not in self.load:
            metrics.IN_FLIGHT.labels(replica).set_function(lambda: self.load[replica])
        self.load[replica] += by

    def _tags(self, request: Request) -> dict[str, str]:
        headers = request.headers
        return {tag: _text(headers[name]) for name, tag in self.settings.tag_headers.items() if name in headers}

    def _digest(self, exchange: Exchange) -> str:
        """Of the answer; none where a label cannot be compared with it."""
        if not exchange.comparable:
            return ""
        return self.signer.answer_digest(exchange.event_id, normalise(exchange.answer.text))

    def _identity(self, exchange: Exchange, choice: Choice, digest: str) -> list[Header]:
        signed = self.signer.sign(RequestId(exchange.event_id, choice.version, choice.arm.value, digest))
        return [(b"x-homeostat-version", choice.version.encode()), (b"x-homeostat-request-id", signed.encode())]


def _json(link: Link) -> bool:
    """Whether an engine that was asked for a stream gives one piece."""
    return link.headers.get("content-type", "").lower().startswith("application/json")


def _told_by(link: Link) -> dict[str, str]:
    """Headers for the client. Of an engine's own failure, that the request is not to be sent again: it may be why."""
    told = {name: link.headers[name] for name in PASSED_BACK if name in link.headers}
    return told | STAY if link.status == 500 else told


def _passed_back(link: Link) -> list[Header]:
    return [(name.encode(), value.encode("latin-1")) for name, value in _told_by(link).items()]


def _sentence(why: object) -> str:
    """An engine's reason for a refusal, as text: pydantic's are lists."""
    text = why if isinstance(why, str) else msgspec.json.encode(why).decode()
    return text[:LONGEST_REASON]


def _plain(link: Link, data: bytes) -> str:
    """A refusal that is no JSON, as far as it is words."""
    worded = link.headers.get("content-type", "").lower().startswith("text/plain")
    text = data.decode(errors="replace").strip()[:LONGEST_REASON] if worded else ""
    return text or f"the engine refused the request with status {link.status} and does not say why"


def _text(value: str) -> str:
    """A header's value, which comes as Latin-1 and is mostly meant as UTF-8."""
    if value.isascii():
        return value
    with suppress(UnicodeDecodeError):
        return value.encode("latin-1").decode()
    return value


def _passed(request: Request) -> bytes:
    lines = [f"{name}: {request.headers[name]}\r\n" for name in PASSED if name in request.headers]
    return "".join(lines).encode("latin-1")


def unknown(alias: str, table: RouteTable) -> ApiError:
    """OpenAI's error for a model that is not there, with those that are."""
    known = ", ".join(sorted(table.routes)) or "none yet"
    return ApiError(404, f"the model {cut(alias)!r} does not exist; known: {known}", "model", "model_not_found")


def model_card(alias: str, table: RouteTable) -> dict[str, object]:
    """An alias as OpenAI lists a model; `root` is the champion's version."""
    route = table.routes[alias]
    return {
        "id": alias,
        "object": "model",
        "created": route.time_ms // 1000,
        "owned_by": "homeostat",
        "root": route.champion,
    }
