"""The outcomes in a batch of scores for a candidate and its champion: pure."""

from __future__ import annotations

from serving.rollout.guard import ReplyOutcome
from serving.rollout.state import Rollout
from streams.events import ScoreBatch
from streams.kinds import Arm
from streams.topics import INFERENCE


def outcomes(batch: ScoreBatch, rollout: Rollout, slow_ms: float, watermark: int) -> list[ReplyOutcome]:
    """Return the outcomes of the two versions from the offset `watermark` on. Shadow replies reach no client."""
    rows, served = batch.rows.after(watermark), batch.source_topic == INFERENCE.name
    found: list[ReplyOutcome] = []
    for i, version in enumerate(rows.versions):
        if version not in (rollout.candidate, rollout.champion) or rows.arms[i] == Arm.SHADOW:
            continue
        candidate = version == rollout.candidate
        if served:
            error = rows.statuses[i] >= 500
            found.append(ReplyOutcome(candidate, error=error, slow=None if error else rows.latency_ms[i] > slow_ms))
        elif (loss := rows.losses[i]) is not None:
            found.append(ReplyOutcome(candidate, wrong=loss))
    return found
