"""Quality without labels: what the model's own confidence says, calibrated on the labelled part of the reference.

An estimate, not a measurement: it assumes that confidence means the same as it did in the reference. Where labels
disagree it is withdrawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.detectors.paired import STAKES

Floats = NDArray[np.float64]

BINS = 10
PER_BIN = 10  # labels in a bin, at least
SLACK = 0.1  # by how much labels may differ from the estimate before it is withdrawn
REFUTED = 40.0  # wealth that refutes an estimate: two bets, 5 % together


@dataclass(frozen=True, slots=True)
class Calibration:
    """A rising step function from confidence to 1 less the mean loss: the chance of being right, or the expected score
    where a metric is graded."""

    edges: Floats  # upper edges of all bins but the last, rising
    chances: Floats  # one for each bin, not falling
    errors: Floats  # their standard errors, those of right or wrong: graded losses vary less

    @property
    def nbytes(self) -> int:
        """Return the bytes of its arrays."""
        return self.edges.nbytes + self.chances.nbytes + self.errors.nbytes


class Estimate(msgspec.Struct, frozen=True):
    """Sums over events of 1 less the estimated loss, and of its 95 % bounds. An estimate, always."""

    count: int = 0
    total: float = 0.0
    lowest: float = 0.0
    highest: float = 0.0

    @property
    def accuracy(self) -> float | None:
        """Return the estimated accuracy, or mean score; None without events."""
        return self.total / self.count if self.count else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return what the calibration's own uncertainty leaves open."""
        return (self.lowest / self.count, self.highest / self.count) if self.count else None

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(
            self.count + other.count,
            self.total + other.total,
            self.lowest + other.lowest,
            self.highest + other.highest,
        )


def fit(confidences: Sequence[float], scores: Sequence[float]) -> Calibration | None:
    """Return the calibration by labels, whose `scores` are 1 less their losses: bins of about equal count, made
    monotone by pooling neighbours. Equal confidences share a bin. None where fewer than two bins of `PER_BIN` labels
    come about: too few labels, or confidences that hardly differ. A confidence that is NaN was not measured and is left
    out.

    >>> calibration = fit([i / 100 for i in range(100)], [i >= 50 for i in range(100)])
    >>> predict(calibration, [0.1, 0.9]).round(2).tolist()
    [0.01, 0.99]
    """
    known = np.asarray(confidences, dtype=np.float64)
    measured = ~np.isnan(known)
    good = np.asarray(scores, dtype=np.float64)[measured]
    values, places = np.unique(known[measured], return_inverse=True)
    counts, hits = np.bincount(places, minlength=len(values)), np.bincount(places, good, minlength=len(values))
    parts = _parts(counts.tolist(), max(PER_BIN, int(measured.sum()) // BINS))
    if len(parts) < 2:
        return None
    sizes = np.add.reduceat(counts, parts).astype(np.float64)
    chances, pooled = _rising(np.add.reduceat(hits, parts), sizes)
    return Calibration(values[np.array(parts[1:]) - 1], chances, np.sqrt(chances * (1.0 - chances) / pooled))


def _parts(counts: Sequence[int], wanted: int) -> list[int]:
    """Return where each bin begins, in values that came `counts` times: a bin ends where it is closest to `wanted`, and
    holds `PER_BIN` at least; what is left over joins the last one."""
    starts, held = [0], 0
    for place, count in enumerate(counts):
        if held >= PER_BIN and 2 * held + count > 2 * wanted:
            starts.append(place)
            held = 0
        held += count
    return starts if held >= PER_BIN or len(starts) == 1 else starts[:-1]


def predict(calibration: Calibration, confidences: Sequence[float]) -> Floats:
    """Return 1 less the mean loss at each confidence; NaN where that is NaN."""
    known = np.asarray(confidences, dtype=np.float64)
    return np.where(np.isnan(known), np.nan, calibration.chances[_bins(calibration, known)])


def estimate(calibration: Calibration, confidences: Sequence[float]) -> Estimate:
    """Return the accuracy that these confidences promise; NaN promises nothing."""
    known = np.asarray(confidences, dtype=np.float64)
    bins = _bins(calibration, known[~np.isnan(known)])
    chances, reach = calibration.chances[bins], 1.96 * calibration.errors[bins]
    low, high = np.maximum(chances - reach, 0.0), np.minimum(chances + reach, 1.0)
    return Estimate(len(bins), float(chances.sum()), float(low.sum()), float(high.sum()))


def interval(calibration: Calibration, chances: Sequence[float]) -> tuple[float, float]:
    """Return 95 % bounds of the mean of these estimated chances: what the calibration's own uncertainty leaves open."""
    known = np.asarray(chances, dtype=np.float64)
    nearest = np.abs(known[:, None] - calibration.chances).argmin(axis=1)
    reach = 1.96 * calibration.errors[nearest]
    return float(np.maximum(known - reach, 0.0).mean()), float(np.minimum(known + reach, 1.0).mean())


class Trust(msgspec.Struct, frozen=True):
    """Bets that the estimate is too low, and that it is too high; once one has won, the trust is lost for good."""

    low: tuple[float, ...] = (1.0,) * len(STAKES)
    high: tuple[float, ...] = (1.0,) * len(STAKES)
    lost: bool = False


def check(trust: Trust, residuals: Sequence[float]) -> Trust:
    """Take residuals, 1 less the loss minus the same estimated, of labelled events.

    An estimate within `SLACK` of the truth loses trust with probability at most 5 %, however long one looks."""
    for residual in residuals:
        low, high = _wealth(trust.low, residual), _wealth(trust.high, -residual)
        won = max(sum(low), sum(high)) / len(STAKES) >= REFUTED
        trust = Trust(low, high, trust.lost or won)
    return trust


def _wealth(wealth: tuple[float, ...], gain: float) -> tuple[float, ...]:
    bet = (gain - SLACK) / (1.0 + SLACK)
    return tuple(min(each * (1.0 + stake * bet), 1e12) for each, stake in zip(wealth, STAKES, strict=True))


def _bins(calibration: Calibration, confidences: Floats) -> NDArray[np.int64]:
    return np.searchsorted(calibration.edges, confidences, "left").astype(np.int64)


def _rising(hits: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Pool adjacent violators; each chance is smoothed by half a hit and half a miss."""
    pools: list[tuple[float, float, int]] = []
    for hit, size in zip(hits, sizes, strict=True):
        pools.append((float(hit), float(size), 1))
        while len(pools) > 1 and _chance(pools[-2]) >= _chance(pools[-1]):
            (h1, s1, n1), (h2, s2, n2) = pools[-2:]
            pools[-2:] = [(h1 + h2, s1 + s2, n1 + n2)]
    spans = [span for _, _, span in pools]
    return np.repeat([_chance(pool) for pool in pools], spans), np.repeat([pool[1] for pool in pools], spans)


def _chance(pool: tuple[float, float, int]) -> float:
    return (pool[0] + 0.5) / (pool[1] + 1.0)
