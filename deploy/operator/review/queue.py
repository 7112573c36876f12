"""The review queue of an alias: replies that are worth a person's look, each with all the reasons why it is there.

Which replies are looked at says nothing of the rest, so labels from here teach, and prove harm only where the reply was
chosen before (an audit): the label's origin says so."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from deploy.operator.labels import wanted
from deploy.operator.labels.open_groups import MOST, UNDER_WAY
from monitor.describe.fingerprint import event_print
from monitor.metrics import normalise
from monitor.selection.sources import JUDGE
from streams.events import RetrainReported
from streams.kinds import Arm, RetrainStatus
from streams.lake.lake import Lake
from streams.lake.table import JUDGED_BY, judged
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.messages import comparable
from streams.topics import FEEDBACK, INFERENCE, RESULTS

PLACES = ("id", "time_ms", "arm", "status", "comparable", "output", "logprob_mean")
OPINION = ("event_id", "time_ms", "by", "source", "label", "correction", "thumb", "score")
HALF = 0.5


class Reason(StrEnum):
    """Why a reply is in the queue, the weightiest first."""

    AUDITED = "audited"  # chosen before its answer was known: without a label the audit proves less
    ASKED = "asked"  # by the gate, of a group, or by an alarm
    EDGE = "edge"  # of the gate: the newest verdict lacks labels alone
    DISAGREEING = "disagreeing"  # people, or people and the judge model, differ about it
    UNSURE = "unsure"  # the model was


class ReviewItem(msgspec.Struct, frozen=True, kw_only=True):
    """A reply for a reviewer. `why`: each reason, with what is behind it."""

    id: str
    question: str
    answer: str
    why: list[str] = []


def queue(kafka: KafkaSettings, lake: Lake, alias: str, since_ms: int) -> list[ReviewItem]:
    """List the alias's replies that are worth a look: those with more reasons first, then by the weight of these."""
    reports = [record.event for record in read(kafka, RESULTS, RetrainReported) if record.event.alias == alias]
    asked = {row.id: row.alarm for row in wanted.wanted(kafka, lake, alias)}
    return found(lake, alias, since_ms, reports, asked)


def found(
    lake: Lake, alias: str, since_ms: int, reports: Iterable[RetrainReported], asked: Mapping[str, str]
) -> list[ReviewItem]:
    """Return the queue. `reports`: of the alias's retrainings; `asked`: replies that an alarm or the gate asks for,
    with why."""
    rows = list(_replies(lake, alias, since_ms))
    ids, opinions = [row["id"] for row in rows], list(_opinions(lake, alias, since_ms))
    reasons: dict[str, dict[Reason, str]] = {}
    known = {row.id for row in wanted.audited(lake, alias, since_ms)}
    for kind, some in (
        (Reason.AUDITED, dict.fromkeys(known, "no auditor has labelled it yet")),
        (Reason.ASKED, asked),
        (Reason.EDGE, _edge(reports, ids)),
        (Reason.DISAGREEING, disagreeing(opinions)),
        (Reason.UNSURE, _unsure(rows)),
    ):
        for id, why in some.items():
            reasons.setdefault(id, {})[kind] = why
    done = _settled(
        lake, alias, [id for id, why in reasons.items() if not why.keys() & {Reason.AUDITED, Reason.DISAGREEING}]
    )
    order, left = list(Reason), {id: why for id, why in reasons.items() if id not in done}
    first = sorted(left, key=lambda id: (-len(left[id]), min(map(order.index, left[id])), event_print(id)))
    return [msgspec.structs.replace(item, why=_lines(left[item.id])) for item in items(lake, alias, first)]


def items(lake: Lake, alias: str, ids: Sequence[str]) -> Iterator[ReviewItem]:
    """Yield replies as reviewers see them, in the order of the ids; what no label can be compared with is left out."""
    rows = wanted.replies(lake, alias, ids)
    for id in ids:
        if id in rows and wanted.can_be_labelled(rows[id]):
            row = wanted.listed(rows[id])
            yield ReviewItem(id=id, question=row.question, answer=row.answer)


def disagreeing(opinions: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the replies about which opinions differ, with how. `opinions`: rows of feedback, the last of each author
    counts.

    >>> ann, bob = ({"event_id": "r", "by": by, "source": "client", "label": label} for by, label in ("ax", "by"))
    >>> disagreeing([ann, bob]), disagreeing([ann, {**bob, "label": "X."}])
    ({'r': '2 people give 2 labels'}, {})
    """
    by_reply: dict[str, dict[str, Mapping[str, Any]]] = {}
    for each in opinions:
        by_reply.setdefault(each["event_id"], {})[each["by"]] = each
    return {id: why for id, authors in by_reply.items() if (why := _difference(list(authors.values())))}


def _difference(authors: Sequence[Mapping[str, Any]]) -> str:
    texts = [normalise(text) for each in authors if (text := each.get("label") or each.get("correction"))]
    if len(set(texts)) > 1:
        return f"{len(texts)} people give {len(set(texts))} labels"
    people, judge = (
        [mark for each in authors if (each["source"] == JUDGE) is judges and (mark := _mark(each)) is not None]
        for judges in (False, True)
    )
    if len(set(people)) > 1:
        return "people find it good and bad"
    return "the judge model and people differ" if people and judge and set(people) != set(judge) else ""


def _mark(opinion: Mapping[str, Any]) -> bool | None:
    """Return whether a thumb or a score finds the reply good; None where neither was given."""
    if opinion.get("score") is not None:
        return float(opinion["score"]) >= HALF
    return None if opinion.get("thumb") is None else bool(opinion["thumb"])


def _replies(lake: Lake, alias: str, since_ms: int) -> Iterator[dict[str, Any]]:
    for part in lake.rows(INFERENCE, alias=alias, since_ms=since_ms, columns=PLACES):
        for row in part.to_pylist():
            if row["arm"] != Arm.SHADOW and row["status"] == 200 and comparable(row["comparable"], row["output"]):
                yield row


def _opinions(lake: Lake, alias: str, since_ms: int) -> Iterator[dict[str, Any]]:
    parts = lake.rows(FEEDBACK, alias=alias, since_ms=since_ms, columns=OPINION)
    rows = [row for part in parts for row in part.to_pylist()]
    yield from sorted(rows, key=lambda row: row["time_ms"])


def _unsure(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the replies of which the model was least sure: a twentieth of them at most."""
    measured = [(row["logprob_mean"], row["id"]) for row in rows if row["logprob_mean"] is not None]
    least = heapq.nsmallest(min(MOST, len(measured) // 20), measured)
    return {id: f"mean log-probability {mean:.2f}" for mean, id in least}


def _edge(reports: Iterable[RetrainReported], ids: Sequence[str]) -> dict[str, str]:
    """Return replies by chance where the newest verdict lacks labels alone: labels of any replies settle it."""
    ended = [each for each in reports if each.status not in UNDER_WAY]
    newest = max(ended, key=lambda each: each.time_ms, default=None)
    if newest is None or newest.status != RetrainStatus.INCONCLUSIVE or not newest.short_of_labels:
        return {}
    why = f"{newest.candidate} is not decided for want of labels"
    return dict.fromkeys(heapq.nsmallest(MOST, ids, key=event_print), why)


def _settled(lake: Lake, alias: str, ids: Sequence[str]) -> set[str]:
    """Return the replies that have a judgement."""
    parts = lake.by_ids(FEEDBACK, ids, column="event_id", alias=alias, columns=("event_id", *JUDGED_BY))
    return {id for part in parts for id in part.filter(judged(part))["event_id"].to_pylist()} if ids else set()


def _lines(why: Mapping[Reason, str]) -> list[str]:
    return [f"{kind}: {text}" for kind, text in why.items()]
