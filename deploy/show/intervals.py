"""Confidence intervals of shares."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Point:
    """How good consecutive answers were: `right` is how many of them, or the sum of 1 less their losses."""

    start_ms: int
    end_ms: int
    right: float
    count: int


def wilson(right: float, count: int, z: float = Z95) -> tuple[float, float]:
    """Return Wilson's interval of a share (1927), 95 % by default; everything is possible where nothing was counted. Of
    scores between 0 and 1 it is wider than need be.

    >>> [round(bound, 3) for bound in wilson(95, 100)]
    [0.888, 0.978]
    """
    if count <= 0:
        return 0.0, 1.0
    share, spare = right / count, z * z / count
    middle = (share + spare / 2) / (1 + spare)
    half = z * math.sqrt(share * (1 - share) / count + spare / (4 * count)) / (1 + spare)
    return max(middle - half, 0.0), min(middle + half, 1.0)
