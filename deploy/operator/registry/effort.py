"""What people had to do for each retraining: labels given before it, approvals and other decisions since."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from rich.table import Table

from deploy.show.times import clock
from retrain.registry.schedule import BY
from streams.events import DecisionRecorded, RetrainRequested
from streams.kinds import DecisionKind
from streams.lake.lake import Lake
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from streams.signatures import APPROVE
from streams.topics import FEEDBACK, LEDGER, REQUESTS

PEOPLE = ("client", "reviewer")  # sources of feedback; downstream is a system, judge a model


class PeoplesEffort(msgspec.Struct, kw_only=True):
    """What people did for one retraining."""

    alias: str
    request_id: str
    time_ms: int
    reason: str
    labels: int = 0  # given since the retraining before
    approvals: int = 0  # until the next retraining, as the decisions
    decisions: int = 0  # acts of operators: promote, roll back, pause, retrain, adopt, forget, answers to alarms


def of(kafka: KafkaSettings, kept: Storage) -> list[PeoplesEffort]:
    """Return each retraining's, from the log, the ledger and the lake."""
    requests = [record.event for record in read(kafka, REQUESTS, RetrainRequested)]
    given = labels_given(Lake.of(kept), sorted({each.alias for each in requests}))
    return efforts(requests, (record.event for record in read(kafka, LEDGER, DecisionRecorded)), given)


def efforts(
    requests: Sequence[RetrainRequested],
    decisions: Iterable[DecisionRecorded],
    labels_ms: dict[str, list[int]],
) -> list[PeoplesEffort]:
    """Return each retraining's, in the order of time. `labels_ms`: when people's labels of an alias were given."""
    found = []
    for request in sorted({each.id: each for each in requests}.values(), key=lambda each: each.time_ms):
        found.append(
            PeoplesEffort(alias=request.alias, request_id=request.id, time_ms=request.time_ms, reason=request.reason)
        )
    by_alias: dict[str, list[PeoplesEffort]] = {}
    for each in found:
        by_alias.setdefault(each.alias, []).append(each)
    for alias, mine in by_alias.items():
        times = [each.time_ms for each in mine]
        for at_ms in labels_ms.get(alias, ()):
            if (place := bisect_left(times, at_ms)) < len(mine):
                mine[place].labels += 1
    for decision in {each.id: each for each in decisions if _by_people(each)}.values():
        mine = by_alias.get(decision.alias, [])
        place = bisect_right([each.time_ms for each in mine], decision.time_ms) - 1
        if place >= 0:
            approved = decision.inputs.get("action") == APPROVE
            mine[place].approvals += approved
            mine[place].decisions += not approved
    return found


def labels_given(lake: Lake, aliases: Iterable[str]) -> dict[str, list[int]]:
    """Return when people gave their labels, thumbs and scores, by alias."""
    found: dict[str, list[int]] = {}
    for alias in aliases:
        seen: dict[str, int] = {}
        for part in lake.rows(FEEDBACK, alias=alias, columns=("id", "time_ms", "source", "judges")):
            for row in part.to_pylist():
                if row["source"] in PEOPLE and not row["judges"]:
                    seen[row["id"]] = row["time_ms"]
        found[alias] = sorted(seen.values())
    return found


def table(found: Sequence[PeoplesEffort]) -> Table:
    """Draw each retraining as a line, and the mean of each alias."""
    drawn = Table("alias", "retraining", "asked", "labels", "approvals", "decisions", "why", box=None)
    for each in found:
        counts = (str(each.labels), str(each.approvals), str(each.decisions))
        drawn.add_row(each.alias, each.request_id[:8], clock(each.time_ms), *counts, each.reason)
    for alias, line in _means(found):
        drawn.add_row(alias, "mean", "", *(f"{value:.1f}" for value in line), "")
    return drawn


def _means(found: Sequence[PeoplesEffort]) -> Iterator[tuple[str, list[float]]]:
    for alias in sorted({each.alias for each in found}):
        mine = [(each.labels, each.approvals, each.decisions) for each in found if each.alias == alias]
        yield alias, [sum(counts) / len(mine) for counts in zip(*mine, strict=True)]


def _by_people(decision: DecisionRecorded) -> bool:
    return decision.kind == DecisionKind.OPERATOR and decision.inputs.get("by") != BY
