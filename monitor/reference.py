"""What is normal for a version: its first healthy events, frozen, and every later event ranked against them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.blocks import averages, choose_length
from monitor.descriptors import CONFIDENCE
from monitor.fingerprint import uniforms

Floats = NDArray[np.float64]

DEAD_ZONE = 2.0  # standard errors of the reference's mean; 1 is enough for one descriptor, not for fifteen


class Reference(msgspec.Struct, frozen=True):
    """Healthy events: one row of descriptors and one event fingerprint each. `digest` names the content."""

    names: list[str]
    rows: list[list[float]]
    prints: list[int]
    digest: str

    def __hash__(self) -> int:
        return hash(self.digest)


def freeze(names: Sequence[str], rows: Sequence[Sequence[float]], prints: Sequence[int]) -> Reference:
    """A reference of these events, in their order."""
    matrix = np.asarray(rows, dtype="<f8")
    digest = hashlib.sha256("\0".join(names).encode())
    digest.update(matrix.tobytes() + np.asarray(prints, dtype="<u8").tobytes())
    return Reference(list(names), [list(row) for row in rows], list(prints), digest.hexdigest())


@dataclass(frozen=True, slots=True)
class Scorer:
    """A reference ready for use: sorted columns of its events and of its own block averages."""

    events: Floats  # descriptors x events, ascending
    blocks: Floats  # descriptors x blocks, ascending; averages of the reference's own scores
    block: int  # events in a block
    confidences: tuple[int, ...]  # columns in which a positive value means: not measured

    @property
    def dead_zone(self) -> float:
        """What a shift must exceed, because the reference is finite and holds many descriptors."""
        return DEAD_ZONE / float(np.sqrt(self.blocks.shape[1]))


@lru_cache(maxsize=16)
def scorer(reference: Reference) -> Scorer:
    """Sorts the reference, and chooses the block length from its own dependence."""
    matrix = np.asarray(reference.rows, dtype=np.float64)
    confidences = tuple(j for j, name in enumerate(reference.names) if name in CONFIDENCE)
    own = _own_scores(matrix, reference.prints)
    block = choose_length(own)
    events = np.ascontiguousarray(np.sort(matrix, axis=0).T)
    blocks = np.ascontiguousarray(np.sort(averages(own, block), axis=0).T)
    return Scorer(events, blocks, block, confidences)


def event_scores(scorer: Scorer, rows: Floats, prints: Sequence[int]) -> Floats:
    """Normal scores, shape as `rows`: the smoothed rank (rank + 0.5) / (n + 1) of each value in the reference,
    mapped to a standard normal. Ties are broken at random by the event; what was not measured gets a random rank."""
    draws = uniforms(prints, rows.shape[1])
    scores = _scores(scorer.events, rows, draws)
    for column in scorer.confidences:
        missing = rows[:, column] > 0
        ranks = np.floor(draws[missing, column] * (scorer.events.shape[1] + 1)).astype(np.int64)
        scores[missing, column] = _quantiles(scorer.events.shape[1])[ranks]
    return scores


def block_scores(scorer: Scorer, means: Floats, prints: Sequence[int]) -> Floats:
    """Normal scores of block averages among the reference's own; with blocks of one event, the means themselves."""
    if scorer.block == 1:
        return means
    return _scores(scorer.blocks, means, uniforms(prints, means.shape[1]))


def _scores(columns: Floats, rows: Floats, draws: Floats) -> Floats:
    size = columns.shape[1]
    scores = np.empty_like(rows)
    for j, column in enumerate(columns):
        below = np.searchsorted(column, rows[:, j], "left")
        ties = np.searchsorted(column, rows[:, j], "right") - below
        scores[:, j] = _quantiles(size)[below + np.floor(draws[:, j] * (ties + 1)).astype(np.int64)]
    return scores


def _own_scores(matrix: Floats, prints: Sequence[int]) -> Floats:
    """The reference's rows among themselves, ties broken by the event."""
    draws = uniforms(prints, matrix.shape[1])
    ranks = np.empty(matrix.shape, dtype=np.int64)
    for j in range(matrix.shape[1]):
        ranks[np.lexsort((draws[:, j], matrix[:, j])), j] = np.arange(len(matrix))
    return _quantiles(len(matrix) - 1)[ranks]


@lru_cache(maxsize=64)
def _quantiles(size: int) -> Floats:
    """Standard normal quantiles of (rank + 0.5) / (size + 1) for the ranks 0 to `size`."""
    inverse = NormalDist().inv_cdf
    table = np.array([inverse((rank + 0.5) / (size + 1)) for rank in range(size + 1)])
    table.flags.writeable = False
    return table
