"""An inference request's way: parse and bound it, pick a replica, let `forward` ask it, try another where it fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog

from serving import metrics
from serving.gateway.access.admission import Admission
from serving.gateway.caller import caller, conversation_of
from serving.gateway.capture import count
from serving.gateway.engines.health import ReplicaHealth
from serving.gateway.engines.link import ConnectionLost, Unreached
from serving.gateway.engines.retry import UNREACHED, final_error
from serving.gateway.errors import ApiError, cut, unavailable
from serving.gateway.exchange import Exchange
from serving.gateway.forward import Forward
from serving.gateway.http.request import Request
from serving.gateway.observation import attributes
from serving.gateway.openai import bounds, request_body
from serving.gateway.openai.request_body import Operation, ParsedRequest
from serving.gateway.openai.responses_api import PREVIOUS, Rename
from serving.gateway.patience import Patience
from serving.gateway.shadow import Mirror
from serving.routes.routing import Choice, NoReplica, RouteTable, UnknownAlias, pick
from serving.settings import GatewaySettings
from streams.identity import TurnId, uuid7
from streams.kinds import Arm

log = structlog.get_logger()

HUNG_UP = 499


@dataclass(slots=True)
class Inference:
    """The handler of inference requests. `table` is read for each request, so a route takes effect at once."""

    settings: GatewaySettings
    table: Callable[[], RouteTable]
    forward: Forward
    mirror: Mirror
    health: ReplicaHealth
    admission: Admission
    tenant_name: Callable[[str], str]
    _turn: int = 0

    async def serve(self, request: Request, operation: Operation) -> None:
        """Answer the request in any case, once it is captured. Raise ApiError where the body is wrong or the
        alias is not known: no replica was asked then."""
        began_s = time.perf_counter()
        asked = request_body.parse(request.body, operation)
        request.key.require_alias(asked.alias)
        table = self.table()
        if asked.alias not in table.routes:
            raise unknown(asked.alias, table)
        request.alias = asked.alias
        self._check_prompt(asked)
        over = self.admission.begin(request.key, bounds.check(asked, self.settings))
        try:
            await self._serve(request, self._exchange(request, asked, began_s))
        finally:
            over()

    async def _serve(self, request: Request, exchange: Exchange) -> None:
        patience = Patience.of(request.headers, self.settings.timeout_s)
        try:
            await self._answer(request, exchange, patience)
        except asyncio.CancelledError:
            self._cut_off(request, exchange)
        except ApiError as error:
            exchange.status = error.status
            self.forward.capture(exchange)
            request.fail(error)
        except Exception:  # a defect: the gateway answers the client
            exchange.status = 500
            raise
        finally:
            self.forward.capture(exchange)
            count(exchange)
            _note(request, exchange)
        if exchange.status == 200 and not request.gone:
            self.mirror.send(exchange)

    async def _answer(self, request: Request, exchange: Exchange, patience: Patience) -> None:
        """Try replicas until one answers. Raise ApiError where none does."""
        forward, problem, lost_one = self.forward, "", False
        deadline = time.monotonic() + patience.limit_s
        for _ in range(self.settings.tries):
            choice, began_s = self._pick(exchange), time.monotonic()
            forward.ejection.trying(choice.replica)
            try:
                await forward.ask(exchange, choice, patience.with_left(deadline - began_s), request)
                return
            except Unreached as error:
                problem = self._failed(choice, error)
                if isinstance(error, ConnectionLost):
                    others = forward.load[choice.replica]
                    await forward.deaths.check(error, choice.replica, choice.url, began_s, others)
                    if lost_one:
                        raise final_error(f"two replicas gave no answer; the last one: {problem}", UNREACHED) from error
                    lost_one = True
        raise unavailable(f"no replica gave an answer; the last one: {problem}", UNREACHED)

    def _failed(self, choice: Choice, error: Unreached) -> str:
        self.forward.ejection.failed(choice.replica)
        metrics.RETRIES.labels(choice.replica).inc()
        log.warning("replica not reached", replica=choice.replica, version=choice.version, error=str(error))
        return str(error)

    def _pick(self, exchange: Exchange) -> Choice:
        alias, table = exchange.asked.alias, self.table()
        failing, stale = self.forward.ejection.avoided(), self.health.stale()
        self._turn += 1
        try:
            return pick(table, alias, exchange.drawn, self.forward.load, failing, self._turn, stale)
        except UnknownAlias as error:
            raise unknown(alias, table) from error
        except NoReplica as error:
            exchange.choice = Choice(alias, error.version, Arm.CHAMPION, "", "", error.assigned)
            raise unavailable(str(error)) from error

    def _cut_off(self, request: Request, exchange: Exchange) -> None:
        """End a request whose client is gone, or that is not answered when the gateway has to end."""
        if exchange.complete:
            return
        if request.gone:
            exchange.status = HUNG_UP
            return
        exchange.status = 503
        self.forward.capture(exchange)
        if not request.started:
            request.keep_alive = False
            request.fail(unavailable("the gateway is ending", "shutting_down"))
        elif not request.done:
            self.forward.break_off(exchange, 503, "the gateway is ending", request)

    def _check_prompt(self, asked: ParsedRequest) -> None:
        if (field := asked.asks_of_prompt) and not self.settings.prompt_logprobs:
            message = f"{field}: the prompt's log-probabilities are not served, expected none to be asked"
            raise ApiError(400, message, field, "not_supported")

    def _exchange(self, request: Request, asked: ParsedRequest, began_s: float) -> Exchange:
        signer = self.forward.signer
        who = caller(request.key, request.headers, asked, signer, self.settings)
        exchange = Exchange(uuid7(), asked, request.key.named, who.tags, began_s, user=who.user)
        exchange.conversation, exchange.tenant = who.conversation, self.tenant_name(who.tenant)
        exchange.drawn = who.drawn or exchange.event_id
        if asked.operation is Operation.RESPONSE:
            begun = who.conversation or conversation_of(exchange.event_id, signer)
            exchange.drawn = who.drawn or begun
            given = asked.fields[PREVIOUS] if who.previous else None
            exchange.rename = Rename(lambda id: signer.sign_turn(TurnId(id, begun, exchange.drawn)), given)
            if who.previous:  # the engine knows it by its own id
                asked.fields[PREVIOUS] = msgspec.Raw(msgspec.json.encode(who.previous))
        return exchange


def _note(request: Request, exchange: Exchange) -> None:
    """Note what the request's observer wants to know of it."""
    if exchange.choice is not None:
        request.version = exchange.choice.version
    if request.trace is not None:
        request.trace.root.name, request.trace.root.attributes = attributes.inference(exchange)


def unknown(alias: str, table: RouteTable) -> ApiError:
    """Return OpenAI's error for a model that is not there, with those that are."""
    known = ", ".join(sorted(table.routes)) or "none yet"
    return ApiError(404, f"the model {cut(alias)!r} does not exist; known: {known}", "model", "model_not_found")


def model_card(alias: str, table: RouteTable) -> dict[str, object]:
    """Return an alias as OpenAI lists a model; `root` is the champion's version."""
    route = table.routes[alias]
    return {
        "id": alias,
        "object": "model",
        "created": route.time_ms // 1000,
        "owned_by": "homeostat",
        "root": route.champion,
    }
