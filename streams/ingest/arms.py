"""What a rollout asks of replies and feedback: for whom the arm was drawn, and whether a client complains. Pure."""

from __future__ import annotations

from monitor.describe.fingerprint import event_print
from monitor.losses import WRONG
from monitor.selection.sources import JUDGE
from streams.events import FeedbackGiven, InferenceServed

LOW_SCORE = 0.5


def unit(event: InferenceServed) -> int:
    """Return a number for whom the arm was drawn: the conversation, else the end user; 0 for the request alone."""
    if event.conversation:
        return event_print(f"conversation {event.conversation}")
    return event_print(f"user {event.user}") if event.user else 0


def complains(event: FeedbackGiven) -> bool:
    """Return whether feedback complains of the reply: a thumb down, a low score, a label or a correction that the
    reply does not meet. A correction that could not be compared is one too: who is content corrects nothing. A judge
    model is no client."""
    if event.source == JUDGE:
        return False
    if event.loss is not None:
        return event.loss >= WRONG
    low = event.score is not None and event.score < LOW_SCORE
    return event.thumb is False or low or event.correction is not None
