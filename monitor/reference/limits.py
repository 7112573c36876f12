"""Between which bounds the mean loss lies that labels of the reference show: the upper one is the limit of its test.

>>> from monitor.reference.dependence import known_of
>>> known = known_of([float(k % 20 == 7) for k in range(100)], range(100))
>>> round(lowest(known, 0.9), 3), round(highest(known, 0.9), 3)
(0.025, 0.091)
"""

from __future__ import annotations

import math

from monitor.detectors import mean_bound, risk
from monitor.reference.dependence import LabelledLosses


def highest(known: LabelledLosses, confidence: float) -> float:
    """Return the mean loss that is exceeded with a chance of 1 less the confidence at most."""
    if known.levels:
        return mean_bound.upper_bound(known.levels, known.worth, confidence)
    return risk.upper_bound(math.ceil(known.rate * known.worth), known.worth, confidence)


def lowest(known: LabelledLosses, confidence: float) -> float:
    """Return the mean loss that is undercut with a chance of 1 less the confidence at most."""
    if known.levels:
        return 1.0 - mean_bound.upper_bound(known.levels[::-1], known.worth, confidence)
    return 1.0 - risk.upper_bound(math.ceil((1.0 - known.rate) * known.worth), known.worth, confidence)
