"""A retraining that no alarm asks for: an operator or the schedule does, and the ledger says so first."""

from __future__ import annotations

from typing import Protocol

from retrain.data import manifest
from streams import codec
from streams.codec import deterministic_id
from streams.events import DecisionRecorded, Event, RetrainRequested, RouteWritten
from streams.kinds import DecisionKind
from streams.objects.tree import Trees
from streams.topics import LEDGER, REQUESTS, Topic

DAY_MS = 86_400_000
FRESH_MS = 7 * DAY_MS  # of rows that are fresh, where the champion's own dataset says nothing of it


class Send(Protocol):
    """The way into the log, as `streams.log.append.Writer.append`."""

    def __call__(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> object:
        """Append the event."""


def asked(
    route: RouteWritten, *, id: str, since_ms: int, now_ms: int, reason: str, cause: str = "", adopts: str = ""
) -> RetrainRequested:
    """Return the request to improve on the route's champion. `cause`: by which attempts are counted; empty: all that
    are asked for by hand against one champion, for each has a chance to err."""
    return RetrainRequested(
        id=id,
        alias=route.alias,
        champion=route.champion,
        time_ms=now_ms,
        alarm_id=cause or deterministic_id("asked for", route.alias, route.champion),
        since_ms=since_ms,
        reason=reason,
        adopts=adopts,
    )


def send(request: RetrainRequested, action: str, by: str, to: Send) -> None:
    """Send the ledger's entry, then the request; done again, the same records under the same ids."""
    decision = DecisionRecorded(
        id=deterministic_id("asked", request.id),
        alias=request.alias,
        time_ms=request.time_ms,
        kind=DecisionKind.OPERATOR,
        function="operator",
        inputs={"action": action, "by": by},
        output=codec.plain(request),
        summary=f"{by}: {action} {request.alias}: {request.reason}",
    )
    to(LEDGER, decision, id=decision.id, time_ms=decision.time_ms)
    to(REQUESTS, request, id=request.id, time_ms=request.time_ms)


def fresh_since(trees: Trees, champion: str, now_ms: int) -> int:
    """Return from when on rows are fresh: as for the champion, whose own rows before that are rehearsed."""
    try:
        since = manifest.listing(trees, manifest.noted(trees, champion)[0]).since_ms
    except FileNotFoundError:
        since = 0
    return since or max(0, now_ms - FRESH_MS)
