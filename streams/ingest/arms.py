"""What is asked of replies and feedback besides their columns: for whom the arm was drawn, whether a client complains,
and what fair ratings say. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.describe.fingerprint import event_print
from monitor.losses import WRONG, of_score, of_verdict
from monitor.selection.sources import JUDGE, may_rate, read
from monitor.selection.weights import weight
from streams.events import FeedbackGiven, InferenceServed

LOW_SCORE = 0.5


def unit(event: InferenceServed) -> int:
    """Return a number for whom the arm was drawn, as the event says it; in events from before, the conversation, else
    the end user. 0 for the request alone."""
    if event.drawn:
        return event_print(f"drawn {event.drawn}")
    if event.conversation:
        return event_print(f"conversation {event.conversation}")
    return event_print(f"user {event.user}") if event.user else 0


def units(events: Sequence[InferenceServed]) -> list[int]:
    """Return the `unit` of each; none where all were drawn for the request alone."""
    named = any(event.drawn or event.conversation or event.user for event in events)
    return [unit(event) for event in events] if named else []


def drawn(events: Sequence[InferenceServed | FeedbackGiven]) -> list[str]:
    """Return the arm drawn for each; none where each has answered itself. Events from before say which one answered."""
    if all(event.assigned in (None, event.arm) for event in events):
        return []
    return [(event.assigned or event.arm).value for event in events]


def weights(events: Sequence[FeedbackGiven]) -> list[float]:
    """Return how many times each label counts; none where none is of a reply that was drawn for a label."""
    if all(event.probability is None for event in events):
        return []
    return [1.0 if each.probability is None else weight(each.share or 0.0, each.probability) for each in events]


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


def rated(event: FeedbackGiven) -> dict[str, float]:
    """Return the losses by a thumb (1 down, 0 up) and by a score (1 less it), where their source chose the reply
    whatever it says. Of others they are complaints, or nothing."""
    if not may_rate(read(event.origin).selection):
        return {}
    thumb = {} if event.thumb is None else {"thumb": of_verdict(event.thumb)}
    if event.score is not None and not 0.0 <= event.score <= 1.0:
        raise ValueError(f"score is {event.score}, expected a number from 0 to 1")
    return thumb if event.score is None else thumb | {"score": of_score(event.score)}
