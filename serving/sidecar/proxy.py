"""The side-car's HTTP: clients' paths go to the engine as they came, its admin paths do not.

    GET /attestation?nonce=...   what is served here, signed
    GET /health                  200 where the engine answers and is looked after
    GET /v1/models               the versions that are served

A request goes on only for a version that is attested, so none is answered by what was not proven, however late a
gateway knows. Where the engine gives no answer a header says why: the gateway goes on as if it had asked it itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qs

import msgspec
import structlog

from monitor.canonical import UNREADABLE
from serving import metrics
from serving.gateway.engines.failure import ENGINE, PASSED_BACK, EngineLoss
from serving.gateway.engines.link import Broken, ConnectionLost, Link, Unreached
from serving.gateway.engines.pool import EnginePool
from serving.gateway.errors import ApiError, cut
from serving.gateway.http.request import Header, Request
from serving.gateway.openai.request_body import PATHS
from serving.replica.reconciler import Reconciler
from serving.routes.polling import PATH as ATTESTATION
from serving.sidecar.signing import Attestations, NotAttested
from streams import codec
from streams.events import ReplicaAttested

log = structlog.get_logger()

HEALTH, MODELS = "/health", "/v1/models"
INFERENCE = frozenset(PATHS.values())
READ = (ATTESTATION, HEALTH, MODELS)
TRACING = ("traceparent", "tracestate")  # of a request, on to the engine


class AskedModel(msgspec.Struct):
    """The part of a request's body that is read here."""

    model: str


_decoder = msgspec.json.Decoder(AskedModel)


class SideCar:
    """The application. Paths are compared as they come: nothing is decoded, so nothing reaches the engine but what is
    listed here."""

    def __init__(self, engine: str, pool: EnginePool, ours: Reconciler, signed: Attestations, timeout_s: float) -> None:
        self._engine, self._pool, self._ours, self._signed = engine, pool, ours, signed
        self._timeout_s = timeout_s
        self._under_way = metrics.IN_FLIGHT.labels(signed.replica.name)

    def admit(self, request: Request) -> Callable[[], None]:
        """Refuse what is no client's business, before its body is read. Raise ApiError."""
        method = "POST" if request.path in INFERENCE else "GET" if request.path in READ else ""
        if not method:
            known = ", ".join(sorted({*INFERENCE, *READ}))
            raise ApiError(404, f"there is nothing at {cut(request.path)}; expected {known}", code="unknown_path")
        if request.method != method:
            message = f"{request.path} takes {method}, not {request.method}"
            raise ApiError(405, message, code="method_not_allowed", headers={"allow": method})
        return _nothing

    async def serve(self, request: Request) -> None:
        """Answer what was admitted, or raise ApiError."""
        if request.path == ATTESTATION:
            request.answer(200, codec.encode(self._attested(request)))
        elif request.path == HEALTH:
            request.answer(200 if self.healthy else 503, b'{"healthy":%s}' % (b"true" if self.healthy else b"false"))
        elif request.path == MODELS:
            request.answer(200, msgspec.json.encode({"object": "list", "data": self._models()}))
        else:
            self._under_way.inc()
            try:
                await self._pass(request)
            except asyncio.CancelledError:
                if request.gone or request.started:
                    raise
                raise _lost(EngineLoss.AWAY, "the side-car is ending") from None
            finally:
                self._under_way.dec()

    @property
    def healthy(self) -> bool:
        """Return whether the engine answers."""
        latest = self._ours.attester.latest
        return latest is not None and latest.healthy

    def _attested(self, request: Request) -> ReplicaAttested:
        nonces = parse_qs(request.query.decode("latin-1")).get("nonce", [""])
        attester = self._ours.attester
        try:
            return self._signed.answer(attester.latest, attester.confirmed_s, nonces[0])
        except ValueError as error:
            raise ApiError(400, str(error), "nonce", "bad_nonce") from error
        except NotAttested as error:
            raise ApiError(503, str(error), code="not_attested", headers={"retry-after": "1"}) from error

    def _models(self) -> list[dict[str, str]]:
        return [{"id": name, "object": "model", "owned_by": "homeostat"} for name in sorted(self._ours.answering)]

    async def _pass(self, request: Request) -> None:
        try:
            model = _decoder.decode(request.body).model
        except UNREADABLE as error:
            raise ApiError(400, f"the body is not understood: {error}", "model", "bad_body") from error
        if model not in self._ours.answering:
            raise _lost(EngineLoss.AWAY, f"{cut(model)} is not served here now")
        headers = _tracing(request)
        try:
            link = await self._pool.ask(self._engine, request.path, request.body, self._timeout_s, headers)
        except Unreached as error:
            raise await self._loss(error) from error
        except TimeoutError as error:
            raise self._late() from error
        try:
            await self._pass_back(link, request)
        finally:
            link.release()

    async def _pass_back(self, link: Link, request: Request) -> None:
        """Pass an answer on: a stream piece by piece, anything else whole. A stream that breaks ends early here too,
        which its reader notices by the last event that is missing."""
        headers = _headers(link)
        if not link.headers.get("content-type", "").lower().startswith("text/event-stream"):
            try:
                data = await link.read()
            except ConnectionLost as error:
                raise await self._loss(error) from error
            except TimeoutError as error:
                raise self._late() from error
            request.answer(link.status, data, headers)
            return
        request.start(link.status, headers, at_once=not link.waiting)
        try:
            async for piece in link.stream():
                await request.chunk(piece)
        except (Broken, TimeoutError) as error:
            log.warning("the engine's stream broke off", error=repr(error))
        request.end()

    async def _loss(self, error: Unreached) -> ApiError:
        if not isinstance(error, ConnectionLost):
            return _lost(EngineLoss.AWAY, f"the engine cannot be asked: {error}")
        if error.again:
            return _lost(EngineLoss.AGAIN, "the engine ended two connections with the request")
        if error.gone or not await self._pool.listens(self._engine):
            return _lost(EngineLoss.GONE, "the engine ended with the request")
        return _lost(EngineLoss.LOST, "the engine ended the connection")

    def _late(self) -> ApiError:
        return ApiError(504, f"no answer within {self._timeout_s:g} s", code="engine_timeout")


def _lost(loss: EngineLoss, message: str) -> ApiError:
    return ApiError(503, message, code="replica_unreachable", headers={ENGINE: loss.value})


def _headers(link: Link) -> list[Header]:
    names = ("content-type", *PASSED_BACK)
    return [(name.encode(), link.headers[name].encode("latin-1")) for name in names if name in link.headers]


def _tracing(request: Request) -> bytes:
    lines = [f"{name}: {request.headers[name]}\r\n" for name in TRACING if name in request.headers]
    return "".join(lines).encode("latin-1")


def _nothing() -> None:
    """Do nothing: a request counts against no bound of its own; those of bodies and connections hold."""
