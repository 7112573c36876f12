"""A label and its reply make a judgement. Pure, but for the metric, which may ask others.

The judgement is an event of its own, in the label's partition, with an id that follows from the label's. So a label is
judged once, for the judge as for the lake, whichever worker found its reply: what is sent twice is a duplicate by its
id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

from msgspec.structs import replace

from monitor.describe.pii import PLACEHOLDERS
from monitor.losses import of_score
from streams import codec
from streams.events import FeedbackGiven, InferenceServed
from streams.messages import comparable
from streams.scoring import rows
from streams.scoring.rows import Unjudged, served_row
from streams.scoring.scorer import Scorers

LATER: Literal["later"] = "later"


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
    """Return the judge by each alias's metric."""

    async def judge(labelled: Sequence[LabelledReply]) -> list[Judged]:
        found: list[Judged] = [None] * len(labelled)
        for alias in dict.fromkeys(row.reply.alias for row in labelled):
            scorer, places = scorers.of(alias), [k for k, row in enumerate(labelled) if row.reply.alias == alias]
            scores = await scorer.scores([served_row(*labelled[k]) for k in places])
            for k, score in zip(places, scores, strict=True):
                if isinstance(score, Unjudged):
                    found[k] = LATER if score in rows.LATER else None
                else:
                    found[k] = JudgedLoss(of_score(score), scorer.name)
        return found

    return judge


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
