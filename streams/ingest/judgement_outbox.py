"""Judgements on their way into the log, each into the partition of what it is about."""

from __future__ import annotations

from collections.abc import Sequence

from streams.events import FeedbackGiven
from streams.lake.unjudged import UnjudgedLabel
from streams.log.outbox import Outbox, outgoing
from streams.topics import FEEDBACK


async def confirmed(outbox: Outbox, found: Sequence[tuple[UnjudgedLabel, FeedbackGiven]]) -> set[str]:
    """Send judgements, and return the ids of what they are about, once the log has them all."""
    await outbox.confirm(
        [
            outgoing(FEEDBACK, event, id=event.id, time_ms=event.time_ms, partition=place.partition)
            for place, event in found
        ]
    )
    return {place.id for place, _ in found}
