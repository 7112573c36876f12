"""Labels where they are worth most, and fair all the same: drawn with a known chance, and weighed by it.

Replies that look doubtful are drawn more often than others, but a quarter of the draws takes any reply. A loss counts
`share / probability` times, `MOST` at most: then the mean of the weighed losses is that of all replies, whatever the
doubts are worth (Horvitz and Thompson 1952). A weighed loss reaches up to `MOST`, so its stakes are divided by that:
`scaled` and a limit that is divided too keep each bet's mean at most one. A verdict that takes no weights takes a part
of the labels instead, `fairly`: those are drawn evenly.

>>> doubts = [0.0] * 90 + [1.0] * 10
>>> chances = probabilities(doubts, 0.1)
>>> chances[0], round(chances[-1], 9), round(sum(chances), 9)
(0.025, 0.775, 10.0)
>>> weight(0.1, chances[0]), round(weight(0.1, chances[-1]), 3)
(4.0, 0.129)
>>> ids = [f"reply-{k}" for k in range(4_000)]
>>> sum(fairly(id, 0.1, 0.1) for id in ids), sum(fairly(id, 0.1, chances[0]) for id in ids)
(1010, 4000)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from monitor.selection.audit import WHOLE

UNIFORM = 0.25  # of the draws, at least: whatever the doubts are
MOST = 1.0 / UNIFORM  # weight of a label
HALVINGS = 60
DRAW = b"homeostat drawn"
FAIRLY = b"homeostat fairly"


def probabilities(doubts: Sequence[float], share: float) -> list[float]:
    """Return with which chance each reply is drawn, so that about `share` of them are, fewer where few are doubtful: a
    quarter evenly, the rest by their doubts, which are 0 or more."""
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share is {share!r}, expected a share above 0, at most 1")
    known, even = np.asarray(doubts, dtype=np.float64), share * UNIFORM
    if share == 1.0 or not known.any():
        return [share] * len(doubts)
    low, high = 0.0, 1.0 / float(known[known > 0.0].min())
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        few = float(np.minimum(1.0, even + middle * known).sum()) < share * len(known)
        low, high = (middle, high) if few else (low, middle)
    return [float(each) for each in np.minimum(1.0, even + high * known)]


def drawn(event_id: str, probability: float, seed: str) -> bool:
    """Return whether the reply is drawn, by a hash of its id and the draw's seed: asked again, the answer is the
    same."""
    return _uniform(f"{seed}\0{event_id}", DRAW) < probability


def fairly(event_id: str, share: float, probability: float) -> bool:
    """Return whether a drawn reply is one of those that are drawn evenly: each with its weight over `MOST`, so that any
    reply of the alias is one with the same chance."""
    return _uniform(event_id, FAIRLY) < weight(share, probability) / MOST


def weight(share: float, probability: float) -> float:
    """Return how many times a label counts that was drawn with this chance; `share`: the mean chance of all replies
    among which it was."""
    for name, value in (("probability", probability), ("share", share)):
        if not 0.0 < value <= 1.0:
            raise ValueError(f"{name} is {value!r}, expected a number above 0, at most 1")
    return min(MOST, share / probability)


def scaled(loss: float, weighed: float) -> float:
    """Return a weighed loss as a part of the most that it can be: a loss in [0, 1] for a test whose rate is divided by
    `MOST` too."""
    return loss * weighed / MOST


def _uniform(text: str, purpose: bytes) -> float:
    digest = hashlib.blake2b(text.encode(), digest_size=8, person=purpose).digest()
    return int.from_bytes(digest, "big") / WHOLE
