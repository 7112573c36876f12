"""The reviewers' HTTP interface, for keys of the scope `review`; errors look as the gateway's do.

GET    /v1/aliases/{alias}/review            the queue, each item with its reasons (a key of the scope `admin`)
GET    /v1/aliases/{alias}/review/next       what this person looks at next; "skip" in the query, often
POST   /v1/aliases/{alias}/review            {"id": ..., "verdict": "accept" | "correct" | "score", "text", "score"}
GET    /v1/aliases/{alias}/comparisons       two answers side by side, without names
POST   /v1/aliases/{alias}/comparisons       {"pair": ..., "choice": "a" | "b" | "tie"}
    GET    /v1/candidates                        those that wait for approval (a key of the scope `approve`)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeVar

import msgspec
from aiohttp import web
from kafka.errors import KafkaError

from monitor.canonical import UNREADABLE
from serving.gateway.admin.operators import Handler, Keys, authorised
from serving.gateway.errors import ApiError, unavailable, wrong

ANSWER_S = 60.0
Json = object  # what msgspec writes as JSON


class AnswerAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST .../review."""

    id: str
    verdict: Literal["accept", "correct", "score"]
    text: str = ""
    score: float | None = None


class ChoiceAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST .../comparisons."""

    pair: str
    choice: Literal["a", "b", "tie"]


class Desk(Protocol):
    """Where reviewers' work is done; `by` is the person, else their key. Raises ValueError or LookupError where a
    request cannot be met."""

    def listed(self, alias: str) -> Json:
        """Return the queue."""

    def shown(self, alias: str, by: str, skip: Sequence[str]) -> Json:
        """Return the next item; None where nothing waits."""

    def answered(self, alias: str, by: str, answer: AnswerAsked) -> Json:
        """Take an answer."""

    def pair(self, alias: str, by: str) -> Json:
        """Return two answers to compare; None where there are none."""

    def chosen(self, alias: str, by: str, choice: ChoiceAsked) -> Json:
        """Take a choice."""

    def candidates(self) -> Json:
        """Return the candidates that wait for people's approval."""


class Reviews:
    """The handlers."""

    def __init__(self, desk: Desk, keys: Keys) -> None:
        self._desk, self._keys = desk, keys

    def routes(self) -> list[web.RouteDef]:
        """Return paths and handlers."""
        desk, path = self._desk, "/v1/aliases/{alias}"
        return [
            web.get(f"{path}/review", self._for("admin", lambda alias, by, request: desk.listed(alias))),
            web.get(f"{path}/review/next", self._for("review", self._shown)),
            web.get(f"{path}/comparisons", self._for("review", lambda alias, by, request: desk.pair(alias, by))),
            web.get("/v1/candidates", self._for("approve", lambda alias, by, request: desk.candidates())),
            web.post(f"{path}/review", self._takes(AnswerAsked, desk.answered)),
            web.post(f"{path}/comparisons", self._takes(ChoiceAsked, desk.chosen)),
        ]

    def _shown(self, alias: str, by: str, request: web.Request) -> Json:
        return self._desk.shown(alias, by, request.query.getall("skip", []))

    def _for(self, scope: str, work: Callable[[str, str, web.Request], Json]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            by, alias = self._person(request, scope), request.match_info.get("alias", "")
            return _json(await _done(lambda: work(alias, by, request)))

        return handle

    def _takes(self, kind: type[Asked], work: Callable[[str, str, Asked], Json]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            by, alias = self._person(request, "review"), request.match_info["alias"]
            asked = _asked(await request.read(), kind)
            return _json(await _done(lambda: work(alias, by, asked)))

        return handle

    def _person(self, request: web.Request, scope: str) -> str:
        return authorised(self._keys, request, scope).reviewer


Asked = TypeVar("Asked", AnswerAsked, ChoiceAsked)


def _asked(body: bytes, kind: type[Asked]) -> Asked:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        expected = ", ".join(kind.__struct_fields__)
        raise wrong("body", body[:200].decode(errors="replace"), f"an object with {expected}: {error}") from error


async def _done(work: Callable[[], Json]) -> Json:
    """Return what the desk gives, in a thread of its own. Raise ApiError where it cannot."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(work), ANSWER_S)
    except ModuleNotFoundError as error:
        message = f"{error.name} is not installed: reviews need the lake; install homeostat[serving,streams]"
        raise ApiError(501, message, code="no_lake") from error
    except LookupError as error:
        raise ApiError(404, str(error), "pair", "unknown") from error
    except ValueError as error:
        raise ApiError(400, str(error), "body") from error
    except (KafkaError, TimeoutError, OSError) as error:
        raise unavailable(f"the lake or the log is away: {error!r}", "log_away") from error


def _json(found: Json) -> web.Response:
    return web.Response(body=msgspec.json.encode(found), content_type="application/json")
