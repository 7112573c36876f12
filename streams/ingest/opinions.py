"""What feedback says of a reply without being asked for the right answer."""

from __future__ import annotations

from monitor.losses import WRONG
from streams.events import FeedbackGiven


def complaint(event: FeedbackGiven) -> bool | None:
    """Return whether a client says that the reply was bad: a thumb down, a score below a half, a correction or a label
    that it does not match. None where it is no opinion.

    >>> about = dict(id="f", event_id="e", time_ms=1, alias="a", version="v", arm="champion", by="k")
    >>> given = [FeedbackGiven(**about, **each) for each in ({"thumb": False}, {"score": 0.9}, {"label": "x"})]
    >>> [complaint(each) for each in given]
    [True, False, None]
    """
    opinions = [
        None if event.thumb is None else not event.thumb,
        None if event.score is None else event.score < WRONG,
        None if event.loss is None else event.loss >= WRONG,
    ]
    known = [each for each in opinions if each is not None]
    return any(known) if known else None
