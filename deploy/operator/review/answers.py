"""What reviewers answer, as feedback of the source `reviewer` by their own key.

The same answer by the same person on the same reply is the same event, whether it comes through the command, the admin
port, a file of another tool or `/v1/feedback`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from deploy.operator.labels import wanted
from deploy.operator.labels.draws import REVIEWER
from deploy.operator.labels.wanted import LabelRules
from monitor.characters import blank
from monitor.selection.sources import origin
from serving.gateway.feedback import LONGEST
from streams import codec
from streams.clock import now_ms
from streams.events import FeedbackGiven, InferenceServed
from streams.lake.lake import Lake
from streams.scoring.rows import served_row

Verdict = Literal["accept", "correct", "score"]
CLASSES = "exact_match"  # the metric by which a corrected answer is a label; by others it is a text


@dataclass(frozen=True, slots=True)
class ReviewAnswer:
    """One person's answer to one item. Raise ValueError, which names the field, where it is none."""

    id: str
    verdict: Verdict
    text: str = ""  # the right answer, of a correction
    score: float | None = None  # 0 to 1, of a score
    by: str = ""  # whom another tool names as its author

    def __post_init__(self) -> None:
        if self.verdict not in ("accept", "correct", "score"):
            raise ValueError(f"verdict is {self.verdict!r}, expected accept, correct or score")
        if (self.verdict == "correct") is blank(self.text):
            raise ValueError(
                f"text is {self.text[:40]!r} at verdict {self.verdict}, expected the right answer of a correction"
            )
        if len(self.text) > LONGEST:
            raise ValueError(f"text has {len(self.text)} characters, expected at most {LONGEST}")
        scored = self.score is not None and not isinstance(self.score, bool) and 0 <= self.score <= 1
        if (self.verdict == "score") is not scored or (self.verdict != "score" and self.score is not None):
            raise ValueError(f"score is {self.score!r} at verdict {self.verdict}, expected 0 to 1 of a score alone")


def given(lake: Lake, alias: str, answers: Sequence[ReviewAnswer], key: str, rules: LabelRules) -> list[FeedbackGiven]:
    """Return answers as events, judged by the alias's metric. `key`: the id of the person's key. Raise ValueError
    naming a reply that the lake does not have."""
    rows = wanted.replies(lake, alias, [each.id for each in answers])
    for each in answers:
        if each.id not in rows:
            raise ValueError(f"id is {each.id!r}, expected that of a reply of {alias} in the lake")
    truths = {each: truth for each in answers if (truth := _truth(each, rows, rules)) is not None}
    scored = [served_row(rows[each.id], truth) for each, truth in truths.items()]
    losses = dict(zip(truths, asyncio.run(rules.scorer.losses(scored)), strict=True))
    return [_event(rows[each.id], each, truths.get(each), losses.get(each), key, rules) for each in answers]


def _truth(answer: ReviewAnswer, rows: Mapping[str, InferenceServed], rules: LabelRules) -> str | None:
    """Return what the answer should have been; None where the person did not say."""
    reply = rows[answer.id]
    if answer.verdict == "accept" and wanted.can_be_labelled(reply):
        return reply.output
    return rules.maskers(reply.tenant).whole(answer.text) if answer.verdict == "correct" else None


def _event(
    reply: InferenceServed, answer: ReviewAnswer, truth: str | None, loss: float | None, key: str, rules: LabelRules
) -> FeedbackGiven:
    by = f"{key}/{rules.signer.pseudonym(answer.by)}" if answer.by else key
    label, correction = (truth, None) if rules.scorer.name == CLASSES else (None, truth)
    thumb = True if answer.verdict == "accept" else None
    audited = wanted.AUDIT in reply.cohorts
    known = wanted.known_loss(reply, loss)
    return FeedbackGiven(
        id=codec.deterministic_id("feedback", reply.id, by, REVIEWER, label, correction, answer.score, thumb),
        event_id=reply.id,
        time_ms=now_ms(),
        alias=reply.alias,
        version=reply.version,
        arm=reply.arm,
        assigned=reply.assigned,
        by=by,
        source=REVIEWER,
        label=label,
        correction=correction,
        score=answer.score,
        thumb=thumb,
        origin=origin(rules.sources, key, REVIEWER, audited=audited).name,
        loss=known,
        metric="" if known is None else rules.scorer.name,
        user=reply.user,
        conversation=reply.conversation,
    )
