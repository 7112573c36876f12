"""The operators' HTTP interface, for keys of the scope `admin`; errors look as the gateway's do.

    GET    /v1/routes                     every alias's route
    GET    /v1/replicas                   what each replica attested last
    POST   /v1/aliases/{alias}/pause      and /resume, /rollback
    PUT    /v1/aliases/{alias}/shadow     {"version": ...}, with its "digest" where the log does not name it
    DELETE /v1/aliases/{alias}/shadow
    POST   /v1/pause                      every alias; and /v1/resume
    POST   /v1/keys/{key}/revoke          an API key, by its name, at every gateway and admin API
    POST   /v1/aliases/{alias}/approve    {"version": ...} by a key of the scope `approve`; and /refuse, with "reason"

Answers come once the log has the change; `by` in the ledger is admin/<person>, where a key without a user is its own.
A key that is bound to aliases may act on those alone. The audit log has each request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol, TypeVar

import msgspec
import structlog
from aiohttp import typedefs, web
from kafka.errors import KafkaError

from monitor.canonical import UNREADABLE
from serving.gateway.access.audit import AuditLog
from serving.gateway.access.keys import Key
from serving.gateway.access.revocations import revoke
from serving.gateway.admin.errors import answered, refusal
from serving.gateway.errors import ApiError, unavailable, wrong
from serving.rollout import operations
from serving.rollout.changes import EngineLimits, NothingBefore
from serving.rollout.operations import UnknownVersion
from serving.routes.routing import RouteTable, UnknownAlias
from streams.events import RouteWritten
from streams.log.settings import KafkaSettings

log = structlog.get_logger()

CONNECT_MS = 3_000  # to a broker, before a caller gets the error that there is none
ANSWER_S = 20.0
CALLERS = "/v1/"  # paths that need a key
CALLER = web.RequestKey("caller", Key)


class Keys(Protocol):
    """The part of `serving.gateway.access.keys.KeyRing` that is needed here."""

    def authorise(self, header: str, scope: str) -> Key:
        """Return the caller's key. Raise ApiError 401 or 403."""

    def named(self, name: str) -> list[Key]:
        """Return the API keys of a name. Raise LookupError."""


class ShadowAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of PUT .../shadow."""

    version: str
    digest: str | None = None


class OpinionAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST .../approve and .../refuse."""

    version: str
    reason: str = ""


def answering(audit: AuditLog) -> typedefs.Middleware:
    """Return what answers with errors as JSON, and writes each request of a caller to the audit log."""

    @web.middleware
    async def answer(request: web.Request, handler: typedefs.Handler) -> web.StreamResponse:
        found = await answered(request, handler)
        error = found if isinstance(found, ApiError) else None
        if request.path.startswith(CALLERS):
            what, about = f"{request.method} {request.path}", request.match_info.get("alias", "")
            audit.act(request.get(CALLER), what, request.remote or "", about, error)
        return refusal(found) if isinstance(found, ApiError) else found

    return answer


def authorised(keys: Keys, request: web.Request, scope: str) -> Key:
    """Return the caller's key. Raise ApiError 401 or 403, where it is bound to other aliases too."""
    caller = request[CALLER] = keys.authorise(request.headers.get("authorization", ""), scope)
    if alias := request.match_info.get("alias"):
        caller.require_alias(alias)
    elif caller.aliases and request.method != "GET":
        message = f"{caller.called} is for {', '.join(caller.aliases)}, and {request.path} is about every alias"
        raise ApiError(403, message, code="alias_not_allowed", by=caller.person)
    return caller


class Operators:
    """The handlers. `table`: the routes that this gateway follows; changes go to the log itself."""

    def __init__(
        self, table: Callable[[], RouteTable], keys: Keys, kafka: KafkaSettings, limits: EngineLimits | None
    ) -> None:
        self._table, self._keys, self._limits = table, keys, limits
        self._kafka = replace(kafka, options={"bootstrap_timeout_ms": CONNECT_MS, **kafka.options})

    def routes(self) -> list[web.RouteDef]:
        """Return paths and handlers."""
        alias = "/v1/aliases/{alias}"
        return [
            web.get("/v1/routes", self._routes),
            web.get("/v1/replicas", self._replicas),
            web.post("/v1/pause", self._everywhere(operations.pause_all)),
            web.post("/v1/resume", self._everywhere(operations.resume_all)),
            web.post("/v1/keys/{key}/revoke", self._revoke),
            web.post(f"{alias}/pause", self._one(operations.pause)),
            web.post(f"{alias}/resume", self._one(operations.resume)),
            web.post(f"{alias}/rollback", self._one(operations.rollback)),
            web.post(f"{alias}/approve", self._signs(approves=True)),
            web.post(f"{alias}/refuse", self._signs(approves=False)),
            web.put(f"{alias}/shadow", self._shadow),
            web.delete(f"{alias}/shadow", self._unshadow),
        ]

    async def _routes(self, request: web.Request) -> web.Response:
        mine, found = authorised(self._keys, request, "admin").aliases, self._table().routes
        return _json({"routes": [found[alias] for alias in sorted(found) if not mine or alias in mine]})

    async def _replicas(self, request: web.Request) -> web.Response:
        authorised(self._keys, request, "admin")
        found = self._table().attestations
        return _json({"replicas": [found[name] for name in sorted(found)]})

    def _one(self, change: Callable[[KafkaSettings, str, str], RouteWritten]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            by, alias = self._caller(request), request.match_info["alias"]
            return _json(await _written(lambda: change(self._kafka, alias, by)))

        return handle

    def _everywhere(self, change: Callable[[KafkaSettings, str], list[RouteWritten]]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            by = self._caller(request)
            return _json({"routes": await _written(lambda: change(self._kafka, by))})

        return handle

    def _signs(self, *, approves: bool) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            person, alias = authorised(self._keys, request, "approve").person, request.match_info["alias"]
            asked = _asked(await request.read(), OpinionAsked)
            about = asked.version
            return _json(
                await _written(
                    lambda: operations.sign(self._kafka, alias, about, person, approves=approves, reason=asked.reason)
                )
            )

        return handle

    async def _shadow(self, request: web.Request) -> web.Response:
        by, alias = self._caller(request), request.match_info["alias"]
        asked = _asked(await request.read(), ShadowAsked)
        limits = self._limits
        return _json(
            await _written(
                lambda: operations.shadow(self._kafka, alias, asked.version, by, digest=asked.digest, limits=limits)
            )
        )

    async def _unshadow(self, request: web.Request) -> web.Response:
        by, alias = self._caller(request), request.match_info["alias"]
        return _json(await _written(lambda: operations.shadow(self._kafka, alias, None, by)))

    async def _revoke(self, request: web.Request) -> web.Response:
        by, name = self._caller(request), request.match_info["key"]
        try:
            keys = self._keys.named(name)
        except LookupError as error:
            raise ApiError(404, str(error), code="unknown_key") from error
        await _written(lambda: revoke(self._kafka, keys, by))
        return _json({"revoked": [key.id for key in keys]})

    def _caller(self, request: web.Request) -> str:
        caller = authorised(self._keys, request, "admin")
        log.info("admin request", by=caller.person, method=request.method, path=request.path)
        return f"admin/{caller.person}"


Asked = TypeVar("Asked", ShadowAsked, OpinionAsked)
Handler = Callable[[web.Request], Awaitable[web.Response]]


async def _written(change: Callable[[], object]) -> object:
    """Return what the change made, in a thread of its own. Raise ApiError where it fails."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(change), ANSWER_S)
    except UnknownAlias as error:
        raise ApiError(404, str(error), "alias", "unknown_alias") from error
    except UnknownVersion as error:
        raise ApiError(404, str(error), "version", "unknown_version") from error
    except ValueError as error:
        raise ApiError(400, str(error), "version") from error
    except (NothingBefore, RuntimeError) as error:
        raise ApiError(409, str(error), "alias", "conflict") from error
    except (KafkaError, LookupError, TimeoutError, OSError) as error:
        raise unavailable(f"the log does not take it now, it may have it already: {error!r}", "log_away") from error


def _asked(body: bytes, kind: type[Asked]) -> Asked:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise wrong("body", body[:200].decode(errors="replace"), f'{{"version": ...}}: {error}') from error


def _json(found: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(_without_salt(found)), content_type="application/json")


def _without_salt(found: object) -> object:
    """Return what was found, routes without the salt: who knows it can choose the arm of a conversation."""
    if isinstance(found, RouteWritten):
        return msgspec.structs.replace(found, salt="")
    if isinstance(found, dict):
        return {key: _without_salt(each) for key, each in found.items()}
    return [_without_salt(each) for each in found] if isinstance(found, list) else found
