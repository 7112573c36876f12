"""A request's way: pick a version, ask a replica, answer the client, keep what was said."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import msgspec
import structlog

from monitor.metrics import normalise
from serving import metrics, reply
from serving.asgi import ClientGone, Header, Request, while_present
from serving.capture import Capture, Exchange
from serving.errors import ApiError, unavailable
from serving.reply import CHAT
from serving.routing import Choice, NoReplica, RouteTable, UnknownAlias, pick
from serving.settings import GatewaySettings
from streams.events import Arm
from streams.identity import RequestId, Signer, uuid7

log = structlog.get_logger()

PATHS = {CHAT: "/v1/chat/completions", reply.COMPLETION: "/v1/completions"}
TRIES = 2  # a replica that was not reached may be another's turn
HUNG_UP = 499
SENT = {"content-type": "application/json", "accept-encoding": "identity"}


class Unreached(Exception):
    """The replica gave no answer, and the client has seen nothing yet."""


@dataclass(slots=True)
class Inference:
    """`table` is asked anew for each request, so a route takes effect at once."""

    settings: GatewaySettings
    table: Callable[[], RouteTable]
    session: aiohttp.ClientSession
    signer: Signer
    capture: Capture
    _load: Counter[str] = field(default_factory=Counter)
    _avoided: dict[str, float] = field(default_factory=dict)  # replica -> until when

    async def serve(self, request: Request, operation: str, key_id: str) -> None:
        """Answers the request, whatever happens; then captures it. Raises ApiError for a body that is wrong and an
        alias that is not known: nobody was asked then."""
        began_s = time.perf_counter()
        asked = reply.asked(await request.body(self.settings.body_limit_bytes), operation)
        if asked.alias not in self.table().routes:
            raise unknown(asked.alias, self.table())
        tags = {
            tag: request.headers[name] for name, tag in self.settings.tag_headers.items() if name in request.headers
        }
        exchange = Exchange(uuid7(), asked, key_id, tags, began_s)
        try:
            await while_present(self._answer(request, exchange), request.receive)
        except ClientGone:
            if not exchange.complete:  # many clients close at `[DONE]` and do not wait for the end
                exchange.status = HUNG_UP
        except ApiError as error:
            exchange.status = error.status
            await request.fail(error)
        finally:
            exchange.ended_s = time.perf_counter()
            self.capture(exchange, time.time_ns() // 1_000_000)

    async def _answer(self, request: Request, exchange: Exchange) -> None:
        problem = ""
        for _ in range(TRIES):
            choice = exchange.choice = self._pick(request, exchange)
            self._load[choice.replica] += 1
            metrics.IN_FLIGHT.labels(choice.replica).inc()
            try:
                await self._forward(request, exchange, choice)
                return
            except Unreached as error:
                problem = f"replica {choice.replica}: {error}"
                self._avoided[choice.replica] = time.monotonic() + self.settings.avoid_s
                log.warning("replica not reached", replica=choice.replica, version=choice.version, error=str(error))
            finally:
                self._load[choice.replica] -= 1
                metrics.IN_FLIGHT.labels(choice.replica).dec()
        raise unavailable(f"no answer could be had; {problem}", "replica_unreachable")

    def _pick(self, request: Request, exchange: Exchange) -> Choice:
        asked, table = exchange.asked, self.table()
        sticky = request.headers.get("x-session-id") or asked.user or exchange.event_id
        try:
            return pick(table, asked.alias, sticky, self._load, self._avoid())
        except UnknownAlias as error:
            raise unknown(asked.alias, table) from error
        except NoReplica as error:
            exchange.choice = Choice(asked.alias, error.version, Arm.CHAMPION, "", "")
            raise unavailable(str(error)) from error

    def _avoid(self) -> frozenset[str]:
        if not self._avoided:
            return frozenset()
        now = time.monotonic()
        self._avoided = {replica: until for replica, until in self._avoided.items() if until > now}
        return frozenset(self._avoided)

    async def _forward(self, request: Request, exchange: Exchange, choice: Choice) -> None:
        asked, limit = exchange.asked, self.settings.timeout_s
        timeout = aiohttp.ClientTimeout(
            total=None if asked.streamed else limit,
            sock_connect=self.settings.connect_timeout_s,
            sock_read=limit if asked.streamed else None,
        )
        url, body = choice.url + PATHS[asked.operation], asked.forwarded(choice.version)
        try:
            async with self.session.post(url, data=body, headers=SENT, timeout=timeout) as upstream:
                if asked.streamed and upstream.status == 200:
                    await self._stream(request, exchange, choice, upstream)
                else:
                    await self._whole(request, exchange, choice, upstream)
        except aiohttp.ConnectionTimeoutError as error:
            raise Unreached(f"no connection within {self.settings.connect_timeout_s:g} s") from error
        except TimeoutError as error:
            raise ApiError(504, f"no answer within {limit:g} s", code="engine_timeout") from error
        except aiohttp.ClientError as error:
            raise Unreached(f"{type(error).__name__}: {error}") from error

    async def _whole(
        self, request: Request, exchange: Exchange, choice: Choice, upstream: aiohttp.ClientResponse
    ) -> None:
        data = await upstream.read()
        if upstream.status == 404:
            raise Unreached(f"lost {choice.version}: {data[:200]!r}")
        if upstream.status == 200:
            try:
                data, exchange.answer = reply.whole(data, exchange.asked)
            except msgspec.DecodeError as error:
                raise ApiError(502, f"the engine's answer is no JSON object: {error}", code="engine_failed") from error
        exchange.status = upstream.status
        digest = self._digest(exchange) if upstream.status == 200 else ""
        kind = upstream.headers.get("content-type", "application/json").encode("latin-1")
        await request.answer(
            upstream.status, data, [(b"content-type", kind), *self._identity(exchange, choice, digest)]
        )

    async def _stream(
        self, request: Request, exchange: Exchange, choice: Choice, upstream: aiohttp.ClientResponse
    ) -> None:
        exchange.status = 200
        kind = upstream.headers.get("content-type", "text/event-stream; charset=utf-8").encode("latin-1")
        told = [(b"content-type", kind), (b"cache-control", b"no-cache"), *self._identity(exchange, choice, "")]
        await request.start(200, told)
        try:
            await self._chunks(request, exchange, upstream)
        except TimeoutError:
            await self._break(request, exchange, 504, f"no chunk within {self.settings.timeout_s:g} s")
        except aiohttp.ClientError as error:
            await self._break(request, exchange, 502, f"the engine broke off: {type(error).__name__}")
        await request.end()

    async def _chunks(self, request: Request, exchange: Exchange, upstream: aiohttp.ClientResponse) -> None:
        """Passes the stream's events on; ClientPayloadError where it ends before `[DONE]`."""
        rest, done = b"", False
        async for piece in upstream.content.iter_any():
            *events, rest = (rest + piece).split(b"\n\n")
            passed: list[bytes] = []
            for event in events:
                done = done or event == b"data: " + reply.DONE
                passed += self._event(event, exchange)
            if passed:
                await request.chunk(b"".join(passed))
            exchange.complete = done
        if not done:
            raise aiohttp.ClientPayloadError("the stream ended early")
        if exchange.answer.failed:
            exchange.status = 500

    def _event(self, event: bytes, exchange: Exchange) -> list[bytes]:
        """The events that the client gets now that the engine sent one more."""
        if not event.startswith(b"data: ") or event.endswith(reply.DONE):
            return [*_events(reply.rest(exchange.answer)), event, b"\n\n"]
        before = len(exchange.answer.parts)
        chunks = reply.chunk(event[6:], exchange.asked, exchange.answer)
        if len(exchange.answer.parts) > before:
            exchange.last_s = time.perf_counter()
            exchange.first_s = exchange.first_s or exchange.last_s
        return _events(chunks)

    async def _break(self, request: Request, exchange: Exchange, status: int, message: str) -> None:
        """The client has its 200 already: it gets an error as the stream's last event, and no `[DONE]`."""
        exchange.status = status
        log.warning("stream broken", event_id=exchange.event_id, status=status, error=message)
        error = ApiError(status, message, code="engine_failed").body()
        await request.chunk(b"".join(_events([*reply.rest(exchange.answer), error])))

    def _digest(self, exchange: Exchange) -> str:
        """Of the answer; none where there is more than one to choose from."""
        if exchange.answer.choices != 1:
            return ""
        return self.signer.answer_digest(exchange.event_id, normalise(exchange.answer.text))

    def _identity(self, exchange: Exchange, choice: Choice, digest: str) -> list[Header]:
        signed = self.signer.sign(RequestId(exchange.event_id, choice.version, choice.arm.value, digest))
        return [(b"x-homeostat-version", choice.version.encode()), (b"x-homeostat-request-id", signed.encode())]


def _events(chunks: list[bytes]) -> list[bytes]:
    """Chunks as a stream's events."""
    return [part for chunk in chunks for part in (b"data: ", chunk, b"\n\n")]


def unknown(alias: str, table: RouteTable) -> ApiError:
    """OpenAI's error for a model that is not there, with those that are."""
    known = ", ".join(sorted(table.routes)) or "none yet"
    return ApiError(404, f"the model {alias!r} does not exist; known: {known}", "model", "model_not_found")


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
