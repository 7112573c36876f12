"""A label and its reply make a judgement. Pure, but for the metric, which may ask others.

The judgement is an event of its own, in the label's partition, with an id that follows from the label's. So a label is
judged once, for the judge as for the lake, whichever worker found its reply: what is sent twice is a duplicate by its
id."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from msgspec.structs import replace

from monitor.describe.pii import PLACEHOLDERS
from monitor.metrics import METRICS, metric_name
from streams import codec
from streams.events import FeedbackGiven, InferenceServed, comparable

RIGHT = 0.5  # of a metric that is not yes or no
LATER: Literal["later"] = "later"

Score = float | Literal["later"] | None  # 0 to 1; `LATER`: not known yet; None: never known


class AnsweredRow(NamedTuple):
    """A reply, whole, and the truth that a label says."""

    reply: InferenceServed
    truth: str


Scorer = Callable[[Sequence[AnsweredRow]], Awaitable[Sequence[Score]]]


def by_name(metrics: Mapping[str, str]) -> Scorer:
    """Return the scorer by the names of metrics: alias to name, exact match where none is named. It works on a thread
    of its own."""

    def score(row: AnsweredRow) -> float:
        return METRICS[metric_name(metrics, row.reply.alias)](row.reply.output, row.truth)

    async def scores(rows: Sequence[AnsweredRow]) -> list[Score]:
        return await asyncio.to_thread(lambda: [score(row) for row in rows])

    return scores


def answered(label: FeedbackGiven, reply: InferenceServed) -> AnsweredRow | None:
    """Return what a metric scores; None where a reply has nothing to compare, and so the label is never judged."""
    truth = label.label if label.label is not None else label.correction
    if truth is None or reply.status != 200 or not comparable(reply.comparable, reply.output):
        return None
    return AnsweredRow(reply, truth)


def judgement(label: FeedbackGiven, reply: InferenceServed | None, score: float | None) -> FeedbackGiven:
    """Return the event that judges a label; without a score it ends the label's wait. It has no text: the label's event
    has. Two answers that are masked alike need not have been the same: of such only a wrong one is known."""
    masked = reply is not None and any(place in reply.output for place in PLACEHOLDERS.values())
    right = None if score is None else score >= RIGHT
    return FeedbackGiven(
        id=codec.deterministic_id("judgement", label.id),
        event_id=label.event_id,
        time_ms=label.time_ms,
        alias=label.alias,
        version=label.version,
        arm=label.arm,
        by=label.by,
        source=label.source,
        correct=None if right and masked else right,
        judges=label.id,
    )


def again(label: FeedbackGiven, place: str) -> FeedbackGiven:
    """Return the label as a dead letter holds it: under another id, or its replay would be a duplicate."""
    return replace(label, id=codec.deterministic_id("again", label.id, place))
