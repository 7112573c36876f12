"""Adapters that have learned from a forgotten person, replaced: a retraining without the person's rows is asked for,
followed to its verdict, and asked for again until another adapter answers.

The record comes first, then the request, under an id that follows from the order: killed in between, the next round
sends it again, and the trainer takes it once. A candidate begins from the base model, for the champion's weights have
seen the person; it must be proven not to be worse. Where Kafka is away nothing is asked, and the order stays open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from deploy.operator.erasure.order import AskedRetraining, ErasureOrder, OrderRecord
from retrain.claims import ENDED
from retrain.data import manifest
from streams import codec
from streams.codec import deterministic_id
from streams.events import DecisionRecorded, RetrainReported, RetrainRequested, RouteWritten
from streams.kinds import DecisionKind
from streams.objects.tree import Trees
from streams.topics import LEDGER, REQUESTS, Topic

DAY_MS = 86_400_000
FRESH_MS = 7 * DAY_MS  # of rows that are judged on, where the champion is a first adapter
PARTS = ("champion", "canary", "shadow", "previous")  # of a route: what answers, or would after a rollback
LEARNED = ("trained", "descended")

Send = Callable[[Topic, DecisionRecorded | RetrainRequested, str, int], None]  # by topic, event, id and time


@dataclass(frozen=True, slots=True)
class LoopLog:
    """What the log says of routes and retrainings, and the way to ask for one."""

    routes: Mapping[str, RouteWritten]
    requests: frozenset[str]  # ids
    results: Mapping[str, RetrainReported]  # by request: how it ended
    send: Send


Loop = Callable[[], LoopLog | None]  # None: Kafka is away


def relearn(record: OrderRecord, trees: Trees, log: LoopLog | None, now_ms: int) -> None:
    """Follow the retrainings that were asked for, and ask for those that are lacking."""
    if log is None:
        return
    known = [_followed(each, log.results) for each in record.order.retrainings]
    for alias, route in sorted(log.routes.items()):
        if record.order.adapters.get(route.champion) in LEARNED and _due(known, route.champion, now_ms):
            known.append(_asked(record.order, known, alias, route.champion, now_ms))
    record.write(retrainings=known)
    for each in known:
        if not each.status and each.request_id not in log.requests:
            _send(record.order, each, trees, log.send)


def answering(order: ErasureOrder, routes: Mapping[str, RouteWritten]) -> list[str]:
    """Return which adapters that have learned from the person may still answer, as "VERSION, champion of ALIAS"."""
    return sorted(
        f"{version}, {part} of {alias}"
        for alias, route in routes.items()
        for part in PARTS
        if (version := getattr(route, part)) and order.adapters.get(version) in LEARNED
    )


def _due(known: list[AskedRetraining], champion: str, now_ms: int) -> bool:
    """Return whether to ask for one: none is open, and after one without a swap a time has passed, a day at first and
    each time twice as long, in which labels come."""
    mine = [each for each in known if each.champion == champion]
    return not mine or (bool(mine[-1].status) and now_ms >= mine[-1].ended_ms + DAY_MS * 2 ** (len(mine) - 1))


def _asked(
    order: ErasureOrder, known: list[AskedRetraining], alias: str, champion: str, now_ms: int
) -> AskedRetraining:
    attempt = sum(each.champion == champion for each in known)
    id = deterministic_id("forget", order.id, champion, str(attempt))
    return AskedRetraining(request_id=id, alias=alias, champion=champion, asked_ms=now_ms)


def _followed(asked: AskedRetraining, results: Mapping[str, RetrainReported]) -> AskedRetraining:
    result = results.get(asked.request_id)
    if asked.status or result is None:
        return asked
    return replace(
        asked,
        status=result.status.value,
        reason=result.reason,
        candidate=result.candidate or "",
        ended_ms=result.time_ms,
    )


def _send(order: ErasureOrder, asked: AskedRetraining, trees: Trees, send: Send) -> None:
    """Send the ledger's entry, then the request."""
    request = RetrainRequested(
        id=asked.request_id,
        alias=asked.alias,
        champion=asked.champion,
        time_ms=asked.asked_ms,
        alarm_id=order.id,
        since_ms=_since_ms(trees, asked),
        reason=f"{asked.champion} has learned from a person who is forgotten (order {order.id})",
        forgets=order.id,
    )
    decision = DecisionRecorded(
        id=deterministic_id("asked", request.id),
        alias=asked.alias,
        time_ms=asked.asked_ms,
        kind=DecisionKind.OPERATOR,
        function="operator",
        inputs={"action": "forget", "order": order.id},
        output=codec.plain(request),
        cause=order.id,
        summary=f"forget: {request.reason}",
    )
    send(LEDGER, decision, decision.id, decision.time_ms)
    send(REQUESTS, request, request.id, request.time_ms)


def _since_ms(trees: Trees, asked: AskedRetraining) -> int:
    """Return from when on rows are fresh: as for the champion, whose own rows before that are rehearsed."""
    try:
        since = manifest.listing(trees, manifest.noted(trees, asked.champion)[0]).since_ms
    except FileNotFoundError:
        since = 0
    return since or max(0, asked.asked_ms - FRESH_MS)


def ended(results: list[RetrainReported]) -> dict[str, RetrainReported]:
    """Return how each retraining ended, by its request; claims and work under way are no end."""
    return {each.request_id: each for each in results if each.status in ENDED}
