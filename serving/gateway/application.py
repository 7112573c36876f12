"""The OpenAI-compatible gateway in front of the engines: an application for `serving.gateway.http.listener`.

    gateway = Gateway(settings, table, keys, signer, publish)
    listener = Listener(gateway, gateway.limits)

`table` returns the routes as known now, `publish` takes events and never waits. Both live longer than the gateway.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType

import msgspec

from monitor.selection.audit import cohorts, given_by
from serving.gateway.access.admission import Admission, Volume
from serving.gateway.access.audit import NO_AUDIT, AuditLog
from serving.gateway.access.keys import KeyRing
from serving.gateway.capture import Capture, Publish
from serving.gateway.engines.ejection import Ejection
from serving.gateway.engines.health import ReplicaHealth
from serving.gateway.engines.pool import EnginePool
from serving.gateway.errors import ApiError, cut
from serving.gateway.feedback import FeedbackIntake
from serving.gateway.forward import Forward
from serving.gateway.http.limits import Limits
from serving.gateway.http.request import Request
from serving.gateway.inference import Inference, model_card, unknown
from serving.gateway.masking import TENANTS, Maskers
from serving.gateway.openai.request_body import PATHS
from serving.gateway.recent_answers import RecentAnswers
from serving.gateway.shadow import Mirror
from serving.routes.routing import RouteTable
from serving.settings import GatewaySettings
from streams.engine_access import EngineAccess
from streams.identity import ALIAS, Signer
from streams.log.security.tls import TlsFiles, renewed
from streams.scoring.settings import ScoringSettings

Handler = Callable[[Request], Awaitable[None]]
MODELS, FEEDBACK = "/v1/models", "/v1/feedback"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The handler of a path, and the scope that its caller needs."""

    method: str
    scope: str
    handler: Handler
    bounded: bool = False  # counts against the bounds on requests

    @property
    def methods(self) -> tuple[str, ...]:
        """All that it answers."""
        return ("GET", "HEAD", "OPTIONS") if self.method == "GET" else (self.method, "OPTIONS")


class Gateway:
    """The application. Every error is an answer in OpenAI's shape. Paths are compared as they come: nothing is
    decoded, so nothing reaches an engine but what is listed here."""

    def __init__(
        self,
        settings: GatewaySettings,
        table: Callable[[], RouteTable],
        keys: KeyRing,
        signer: Signer,
        publish: Publish,
        stale: Callable[[], frozenset[str]] = frozenset,
        scoring: ScoringSettings | None = None,
        sources: Mapping[str, str] = MappingProxyType({}),
        tls_at: Callable[[str], ssl.SSLContext | None] = lambda url: None,
        audit: AuditLog = NO_AUDIT,
        engines: Mapping[str, EngineAccess] = MappingProxyType({}),
    ) -> None:
        """Wire the parts. `stale`: replicas that no longer attest, see `serving.gateway.engines.health`; `scoring`:
        each alias's metric, None for exact matches; `sources`: as which the operator declares the labels of each;
        `tls_at`, `engines`: see `serving.gateway.engines.pool`; `audit`: takes who was refused."""
        self._table, self._keys, self._audit = table, keys, audit
        self.admission = Admission(settings.max_in_flight, time.monotonic, settings.max_answers_per_key)
        ca = settings.engine_ca
        trusted = renewed(TlsFiles(ca, prefix="gateway.engine_")) if ca is not None else None
        self.pool = EnginePool(settings.connect_timeout_s, trusted, tls_at, engines)
        self.limits = _limits(settings)
        maskers = Maskers(settings.mask, signer.tenant_key, settings.phone_country)
        recent = RecentAnswers(settings.recent_answers, settings.recent_answers_bytes)
        awaited = partial(cohorts, sources, settings.audit_share)
        capture = Capture(publish, maskers, recent, signer.pseudonym, settings.capture_chars, awaited)
        self.ejection = Ejection(settings.avoid_s, time.monotonic, settings.silent_s)
        self.health = ReplicaHealth(self.ejection, stale)
        forward = Forward(settings, self.pool, signer, capture, self.ejection)
        self._mirror = Mirror(settings, table, forward)
        tenant_name = lru_cache(maxsize=TENANTS)(signer.pseudonym)
        inference = Inference(settings, table, forward, self._mirror, self.health, self.admission, tenant_name)
        volume = Volume(settings.feedback_per_minute, settings.feedback_bytes_per_minute, time.monotonic)
        whose = partial(given_by, sources, settings.audit_share)
        feedback = FeedbackIntake(scoring or ScoringSettings(), signer, publish, recent, maskers, volume, whose)
        self._endpoints = {
            **{
                path: Endpoint("POST", "infer", partial(inference.serve, operation=operation), bounded=True)
                for operation, path in PATHS.items()
            },
            MODELS: Endpoint("GET", "infer", self._models),
            FEEDBACK: Endpoint("POST", "feedback", feedback.serve),
        }

    @property
    def paths(self) -> frozenset[str]:
        """All that is answered; below MODELS stands an alias."""
        return frozenset(self._endpoints)

    def admit(self, request: Request) -> Callable[[], None]:
        """Check path, key and bounds before the body is there; return the function to call once the request is over.
        Raise ApiError where it is refused."""
        endpoint = self._find(request)
        if request.method == "OPTIONS":  # of pages and their browsers, without a key
            return _nothing
        try:
            request.key = self._keys.authorise(request.headers.get("authorization", ""), endpoint.scope)
        except ApiError as error:
            self._audit.refusal(error, None, _act(request), request.peer)
            raise
        return self.admission.enter(request.key) if endpoint.bounded else _nothing

    async def serve(self, request: Request) -> None:
        """Answer what was admitted, or raise ApiError."""
        endpoint = self._find(request)
        if request.method == "OPTIONS":
            request.answer(200, b"", [(b"allow", ", ".join(endpoint.methods).encode())])
            return
        try:
            await endpoint.handler(request)
        except ApiError as error:
            self._audit.refusal(error, request.key, _act(request), request.peer)
            raise

    async def close(self) -> None:
        """End shadows and connections, once the server is drained: nothing is asked or captured any more."""
        await self._mirror.close()
        self.pool.close()

    def _find(self, request: Request) -> Endpoint:
        path, alias = request.path, request.path.removeprefix(MODELS + "/")
        if path != alias and (request.method != "OPTIONS" or ALIAS.fullmatch(alias)):
            path = MODELS
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            known = ", ".join(self._endpoints)
            raise ApiError(404, f"there is nothing at {cut(path)}; expected one of {known}", code="unknown_path")
        if request.method not in endpoint.methods:
            message = f"{path} takes {endpoint.method}, not {request.method}"
            raise ApiError(405, message, code="method_not_allowed", headers={"allow": ", ".join(endpoint.methods)})
        return endpoint

    async def _models(self, request: Request) -> None:
        table, mine = self._table(), request.key.aliases
        if request.path == MODELS:
            cards = [model_card(alias, table) for alias in sorted(table.routes) if not mine or alias in mine]
            request.answer(200, msgspec.json.encode({"object": "list", "data": cards}))
            return
        alias = request.path.removeprefix(MODELS + "/")
        request.key.require_alias(alias)
        if alias not in table.routes:
            raise unknown(alias, table)
        request.answer(200, msgspec.json.encode(model_card(alias, table)))


def _act(request: Request) -> str:
    return f"{request.method} {cut(request.path)}"


def _nothing() -> None:
    """Do nothing: the request counted against no bound."""


def _limits(settings: GatewaySettings) -> Limits:
    return Limits(
        head_bytes=settings.head_limit_bytes,
        body_bytes=settings.body_limit_bytes,
        head_s=settings.head_timeout_s,
        body_s=settings.body_timeout_s,
        write_s=settings.write_timeout_s,
        idle_s=settings.idle_timeout_s,
        connections=settings.max_connections,
        connections_per_address=settings.max_connections_per_address,
        bodies_bytes=settings.bodies_bytes,
        bodies_bytes_per_key=settings.bodies_bytes_per_key,
    )
