"""What a rollout asks of replies and feedback: for whom the arm was drawn, and whether a client complains. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.describe.fingerprint import event_print
from monitor.losses import WRONG
from streams.events import FeedbackGiven, InferenceServed

LOW_SCORE = 0.5


def unit(event: InferenceServed) -> int:
    """Return a number for whom the arm was drawn: the conversation, else the end user; 0 for the request alone."""
    if event.conversation:
        return event_print(f"conversation {event.conversation}")
    return event_print(f"user {event.user}") if event.user else 0


def units(events: Sequence[InferenceServed]) -> list[int]:
    """Return the `unit` of each; none where all were drawn for the request alone."""
    return [unit(event) for event in events] if any(event.conversation or event.user for event in events) else []


def drawn(events: Sequence[InferenceServed | FeedbackGiven]) -> list[str]:
    """Return the arm drawn for each; none where each has answered itself. Events from before say which one answered."""
    if all(event.assigned in (None, event.arm) for event in events):
        return []
    return [(event.assigned or event.arm).value for event in events]


def complains(event: FeedbackGiven) -> bool:
    """Return whether feedback complains of the reply: a thumb down, a low score, a label or a correction that the
    reply does not meet. A correction that could not be compared is one too: who is content corrects nothing."""
    if event.loss is not None:
        return event.loss >= WRONG
    low = event.score is not None and event.score < LOW_SCORE
    return event.thumb is False or low or event.correction is not None
