"""How many times as long the candidate's answers are, or take: paired, as a ratio, by the same test as scores.

A pair becomes the two sides' shares of their sum. The difference of these lies between -1 and 1 whatever the unit is,
and its mean is that of a ratio: one third less is twice as long."""

from __future__ import annotations

from collections.abc import Sequence

from retrain.evaluation.checks import Scores

Pairs = Sequence[tuple[float, float]]  # candidate's and champion's tokens, or milliseconds


def shares(pairs: Pairs) -> Scores:
    """Return each pair as scores: the longer the candidate's answer, the lower its own.

    >>> shares([(30.0, 10.0), (0.0, 0.0)])
    [(0.25, 0.75), (0.5, 0.5)]
    """
    return [
        (theirs / (mine + theirs), mine / (mine + theirs)) if mine + theirs else (0.5, 0.5) for mine, theirs in pairs
    ]


def needed(ratio: float) -> float:
    """Return the difference of shares that a candidate must be above to stay below a ratio.

    >>> round(needed(2.0), 4)
    -0.3333
    """
    return (1 - ratio) / (1 + ratio)


def typical(pairs: Pairs) -> float:
    """Return how many times as long the candidate's are.

    >>> round(typical([(20.0, 10.0), (40.0, 20.0)]), 4)
    2.0
    """
    found = shares(pairs)
    mean = sum(mine - theirs for mine, theirs in found) / max(1, len(found))
    return (1 - mean) / max(1 + mean, 1e-4)
