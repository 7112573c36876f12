"""A label and its reply make a judgement. Pure, but for the metric, which may ask others.

The judgement is an event of its own, in the label's partition, with an id that follows from the label's. So a label is
judged once, for the judge as for the lake, whichever worker found its reply: what is sent twice is a duplicate by its
id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

import structlog
from msgspec.structs import replace

from monitor.describe.pii import PLACEHOLDERS
from monitor.losses import of_score
from streams import codec
from streams.events import FeedbackGiven, InferenceServed
from streams.messages import comparable
from streams.scoring import rows
from streams.scoring.rows import Unjudged, served_row
from streams.scoring.scorer import Scorers

log = structlog.get_logger()

LATER: Literal["later"] = "later"
PATIENCE_S = 30.0  # for one alias, before more of its labels are asked about
TOGETHER = 32


class JudgedLoss(NamedTuple):
    """How bad a reply was, 0 to 1, and the name of the metric that says so."""

    loss: float
    metric: str


Judged = JudgedLoss | Literal["later"] | None  # `LATER`: not known yet; None: never known


class LabelledReply(NamedTuple):
    """A reply, whole, and the truth that a label says."""

    reply: InferenceServed
    truth: str


Judge = Callable[[Sequence[LabelledReply]], Awaitable[Sequence[Judged]]]


def by_metric(scorers: Scorers) -> Judge:
    """Return the judge by each alias's metric. No alias waits for long because another's metric is slow or fails: what
    was not judged in time is asked for again."""

    async def judge(labelled: Sequence[LabelledReply]) -> list[Judged]:
        places: dict[str, list[int]] = {}
        for k, row in enumerate(labelled):
            places.setdefault(row.reply.alias, []).append(k)
        parts = [_judged(scorers, alias, [labelled[k] for k in mine]) for alias, mine in places.items()]
        found: list[Judged] = [LATER] * len(labelled)
        for (alias, mine), part in zip(
            places.items(), await asyncio.gather(*parts, return_exceptions=True), strict=True
        ):
            if isinstance(part, BaseException):
                log.error("labels cannot be judged, will be tried again", alias=alias, labels=len(mine), exc_info=part)
            else:
                for k, one in zip(mine, part, strict=False):
                    found[k] = one
        return found

    return judge


async def _judged(scorers: Scorers, alias: str, labelled: Sequence[LabelledReply]) -> list[Judged]:
    """Return what the alias's metric says of these replies, of as many as there is time for."""
    scorer, until, found = scorers.of(alias), time.monotonic() + PATIENCE_S, list[Judged]()
    while len(found) < len(labelled) and (not found or time.monotonic() < until):
        some = [served_row(*each) for each in labelled[len(found) : len(found) + TOGETHER]]
        for score in await scorer.scores(some):
            if isinstance(score, Unjudged):
                found.append(LATER if score in rows.LATER else None)
            else:
                found.append(JudgedLoss(of_score(score), scorer.name))
    return found


def answered(label: FeedbackGiven, reply: InferenceServed) -> LabelledReply | None:
    """Return what a metric scores; None where a reply has nothing to compare, and so the label is never judged."""
    truth = label.label if label.label is not None else label.correction
    if truth is None or reply.status != 200 or not comparable(reply.comparable, reply.output):
        return None
    return LabelledReply(reply, truth)


def judgement(label: FeedbackGiven, reply: InferenceServed | None, found: JudgedLoss | None) -> FeedbackGiven:
    """Return the event that judges a label; without a loss it ends the label's wait. It has no text: the label's event
    has."""
    known = None if reply is None or masked_alike(reply) else found
    return FeedbackGiven(
        id=codec.deterministic_id("judgement", label.id),
        event_id=label.event_id,
        time_ms=label.time_ms,
        alias=label.alias,
        version=label.version,
        arm=label.arm,
        assigned=label.assigned,
        by=label.by,
        source=label.source,
        origin=label.origin,
        share=label.share,
        probability=label.probability,
        loss=None if known is None else known.loss,
        metric="" if known is None else known.metric,
        user=label.user if reply is None else reply.user,
        conversation=label.conversation if reply is None else reply.conversation,
        judges=label.id,
    )


def masked_alike(reply: InferenceServed) -> bool:
    """Return whether a reply holds a placeholder of what was masked, as events did until version 2. Two such answers
    need not have been the same. To call only those wrong that differ elsewhere would be no fair sample of them: none is
    judged. Since then a value has its own surrogate, and what looks like a placeholder is the model's own text."""
    return reply.schema_version < 2 and any(place in reply.output for place in PLACEHOLDERS.values())


def again(label: FeedbackGiven, place: str) -> FeedbackGiven:
    """Return the label as a dead letter holds it: under another id, or its replay would be a duplicate."""
    return replace(label, id=codec.deterministic_id("again", label.id, place))
