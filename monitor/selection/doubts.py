"""Doubts: of which replies does a label say most? Those of which the model was unsure, whose answer carries a flag,
that were complained about, or whose prompt is unlike all others.

Each of the four counts as much as the others, from 0 to 1. How unsure and how unlike is taken by rank, so neither the
model's scale nor the length of prompts matters, and most replies have next to no doubt. What prompts share, a template
or a document, is in the nearest other one too and says nothing.

>>> rng = np.random.default_rng(0)
>>> sums, no = np.zeros((4, SUMMED), "<i2"), [False] * 4
>>> sums[2] = 9
>>> found = doubts([-0.1, -0.1, -0.1, -3.0], no, [True, *no[:3]], [row.tobytes() for row in sums], rng)
>>> [round(each, 2) for each in found]
[1.0, 0.0, 1.0, 1.0]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.describe.fingerprint import SUMMED
from monitor.detectors.interface import Floats

COMPARED = 256  # other prompts, of which the nearest says how unlike the others one is
POWER = 3  # of the rank: the upper tenth has 0.73 to 1, the lower half 0.13 at most


def doubts(
    confidences: Sequence[float],
    flagged: Sequence[bool],
    complained: Sequence[bool],
    sums: Sequence[bytes],
    rng: np.random.Generator,
) -> list[float]:
    """Return the doubt of each reply, 0 to 4. `confidences`: mean log-probabilities, above 0 where none was measured;
    `sums`: of the prompts' words (`fingerprint.sum_sketches`)."""
    if not len(sums):
        return []
    measured = np.asarray(confidences, dtype=np.float64)
    unsure = _ranked(np.where(measured <= 0.0, -measured, 0.0))
    found = unsure + np.asarray(flagged, float) + np.asarray(complained, float) + _ranked(_unlike(sums, rng))
    return [float(each) for each in found]


def _ranked(values: Floats) -> Floats:
    """Return the share of the others that are lower, to the power; 0 where it is none."""
    below = np.searchsorted(np.sort(values), values) / max(1, len(values) - 1)
    powered: Floats = below**POWER
    return powered


def _unlike(sums: Sequence[bytes], rng: np.random.Generator) -> Floats:
    """Return how far the nearest of some other prompts is."""
    rows = np.frombuffer(b"".join(sums), dtype="<i2").reshape(len(sums), SUMMED).astype(np.float64)
    some = rng.choice(len(rows), min(COMPARED, len(rows)), replace=False)
    nearest = np.full(len(rows), np.inf)
    for k in some:
        apart = ((rows - rows[k]) ** 2).sum(axis=1)
        apart[k] = np.inf
        nearest = np.minimum(nearest, apart)
    return np.where(np.isinf(nearest), 0.0, nearest)
