"""Harm as the labels of a whole history show it afterwards: when a version did harm, and when it was well.

No policy sees this while it happens. For each version, the stretch of its labelled answers that stands out most by the
likelihood ratio of two mean losses against one (the scan statistic of Kulldorff, 1997) is harm where chance would make
one as clear in at most 1 of 100 healthy histories (by the union bound over all stretches), and where its mean loss lies
above the rest's by more than the tolerance. The parts on both sides are then searched in the same way. Losses between 0
and 1 vary less than right or wrong: the ratio counts for as many times more.

Answers that an alarm chose for a label are no fair sample and are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.losses import is_graded

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CHANCE = 0.01  # of harm where there is none, for each version
GROUPS = 300  # the scan's grid; its ends are then moved to single labels
FEWEST = 5  # labels inside and outside


@dataclass(frozen=True, slots=True)
class Labels:
    """One version's labelled answers, in the order in which they were given to clients."""

    times_ms: Ints
    losses: Floats  # 0 to 1


class HarmPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time in which a version was worse than otherwise."""

    version: str
    onset_ms: int
    end_ms: int  # of the last labelled answer in it
    loss: float  # mean of its labels'
    usual_loss: float
    labels: int


def harms(version: str, labels: Labels, tolerance: float) -> list[HarmPeriod]:
    """Return the harms in the order of time.

    >>> import numpy as np
    >>> losses = np.array([0.0, 0.0, 0.0, 0.0, 1.0] * 30 + [1.0] * 40)
    >>> [harm.onset_ms for harm in harms("v", Labels(np.arange(len(losses)), losses), tolerance=0.03)]
    [149]
    """
    count = len(labels.losses)
    needed = math.log(max(count * (count - 1) / 2, 1) / CHANCE) * _spread(labels.losses)
    found = _within(labels.losses, 0, count, needed, tolerance)
    return [_harm(version, labels, *ends) for ends in found]


def _spread(losses: Floats) -> float:
    """Return the variance over that of losses of 0 and 1 with the same mean; at most 1."""
    mean = float(losses.mean()) if len(losses) else 0.0
    return float(losses.var()) / (mean * (1.0 - mean)) if is_graded(losses.tolist()) else 1.0


Found = tuple[int, int, float]  # first label, the one after the last, the usual loss


def _within(losses: Floats, low: int, high: int, needed: float, tolerance: float) -> list[Found]:
    best = stretch(losses[low:high])
    if best is None or best[2] < needed:
        return []
    first, end = low + best[0], low + best[1]
    inside, rest = losses[first:end].mean(), np.concatenate([losses[low:first], losses[end:high]]).mean()
    if inside - rest <= tolerance:
        return []
    before = _within(losses, low, first, needed, tolerance)
    return [*before, (first, end, float(rest)), *_within(losses, end, high, needed, tolerance)]


def stretch(losses: Floats) -> tuple[int, int, float] | None:
    """Return the stretch that stands out most and the logarithm of its likelihood ratio; None where labels are few."""
    count = len(losses)
    if count < 2 * FEWEST:
        return None
    sums = np.concatenate([[0], np.cumsum(losses)])
    edges = np.unique(np.linspace(0, count, min(GROUPS, count) + 1).astype(np.int64))
    first, end, _ = _best(sums, edges, edges)
    near = math.ceil(count / GROUPS) + 1
    return _best(sums, _around(first, near, count), _around(end, near, count))


def _around(at: int, near: int, count: int) -> Ints:
    return np.arange(max(0, at - near), min(count, at + near) + 1)


def _best(sums: Floats, firsts: Ints, ends: Ints) -> tuple[int, int, float]:
    count, total = len(sums) - 1, float(sums[-1])
    inside = ends[None, :] - firsts[:, None]
    valid = (inside >= FEWEST) & (count - inside >= FEWEST)
    many = np.where(valid, inside, FEWEST)
    bad = np.where(valid, sums[ends][None, :] - sums[firsts][:, None], 0)
    ratio = _fit(bad, many) + _fit(total - bad, count - many) - _fit(np.array(total), np.array(count))
    worse = valid & (bad * (count - many) > (total - bad) * many)
    at = int(np.argmax(np.where(worse, ratio, -1.0)))
    i, j = divmod(at, len(ends))
    return int(firsts[i]), int(ends[j]), float(ratio[i, j]) if worse[i, j] else 0.0


def _fit(bad: Floats, many: Ints) -> NDArray[np.float64]:
    """Return the logarithm of the likelihood at the rate that fits best."""
    share = np.clip(bad / many, 1e-12, 1 - 1e-12)
    return np.asarray(bad * np.log(share) + (many - bad) * np.log1p(-share))


def _harm(version: str, labels: Labels, first: int, end: int, usual: float) -> HarmPeriod:
    return HarmPeriod(
        version=version,
        onset_ms=int(labels.times_ms[first]),
        end_ms=int(labels.times_ms[end - 1]),
        loss=float(labels.losses[first:end].mean()),
        usual_loss=usual,
        labels=end - first,
    )
