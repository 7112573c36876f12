"""Retrainings by the clock: each alias, so many hours after its last one was asked for; pure.

The hours count from a record of the log, and the request's id follows from that record: after a restart, and with any
number of trainers, there is one request for each span."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from retrain.claims import ENDED
from retrain.registry.asking import asked
from streams.codec import deterministic_id
from streams.events import RetrainReported, RetrainRequested, RouteWritten
from streams.routes import in_force

HOUR_MS = 3_600_000
BY = "retrain.every_h"  # who asks, in the ledger


def due(
    routes: Sequence[RouteWritten],
    requests: Sequence[RetrainRequested],
    results: Sequence[RetrainReported],
    every_h: float,
    now_ms: int,
) -> Iterator[RetrainRequested]:
    """Yield the request of each alias whose time has come: none is under way, it is not paused, and there is no canary.
    `routes`: all that were ever written. Rows are fresh since the last request. Each is a harm of its own to
    the gate: at most `retrain.alpha` / 2 of the scheduled ones promote wrongly."""
    first_ms: dict[str, int] = {}
    for each in routes:
        first_ms.setdefault(each.alias, each.time_ms)
    over = {each.request_id for each in results if each.status in ENDED}
    for alias, route in sorted(in_force(routes).items()):
        mine = [each for each in requests if each.alias == alias]
        if route.paused or route.canary or any(each.id not in over for each in mine):
            continue
        last = max(mine, key=lambda each: each.time_ms, default=None)
        since_ms, anchor = (last.time_ms, last.id) if last else (first_ms[alias], alias)
        at_ms = since_ms + int(every_h * HOUR_MS)
        if now_ms >= at_ms:
            id = deterministic_id("scheduled", alias, anchor)
            reason = f"{every_h:g} h since the last retraining was asked for"
            yield asked(route, id=id, since_ms=since_ms, now_ms=at_ms, reason=reason, cause=id)
