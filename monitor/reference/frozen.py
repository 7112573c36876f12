"""What is normal for a version: its first healthy events, frozen, and every later event ranked against them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.describe.descriptors import CONFIDENCE
from monitor.describe.fingerprint import uniforms
from monitor.describe.traits import Traits, counted
from monitor.detectors.blocks import ERRORS, SQUARES_ERRORS, averages, choose_length, inflation, wildness
from monitor.detectors.location_spread import dead_zone
from monitor.reference.derived import derived
from monitor.reference.lumps import lumps
from monitor.reference.seasonality import Rhythm, find
from monitor.reference.shared import SharedText
from monitor.reference.swings import swinging

Floats = NDArray[np.float64]


class Reference(msgspec.Struct, frozen=True, weakref=True):
    """Healthy events: one row of descriptors and one event fingerprint each. `digest` names the content.

    `times_ms`: when they came; without them no rhythm is known. `places`: their places in the stream, where some were
    left out in between (`monitor.reference.sample`)."""

    names: list[str]
    rows: list[list[float]]
    prints: list[int]
    digest: str
    times_ms: list[int] = []
    places: list[int] = []
    categories: dict[str, dict[str, int]] = {}  # column -> category -> events (`monitor.describe.traits`)
    texts: list[int] = []  # fingerprints of the prompts
    swinging: list[str] = []  # columns of categories, and texts, that follow day or week: not watched
    lumps: dict[str, float] = {}  # column, or texts -> how many events count for one (`monitor.reference.lumps`)
    shared: SharedText = SharedText()  # what its prompts share: rows and texts are without it

    def __hash__(self) -> int:
        return hash(self.digest)


def freeze(
    names: Sequence[str],
    rows: Sequence[Sequence[float]],
    prints: Sequence[int],
    times_ms: Sequence[int] = (),
    places: Sequence[int] = (),
    traits: Sequence[Traits] = (),
) -> Reference:
    """Return a reference of these events, in their order. Raises ValueError where a column has another length."""
    for what, column in (("prints", prints), ("times_ms", times_ms), ("places", places), ("traits", traits)):
        if len(column) != len(rows) and (column or what == "prints"):
            raise ValueError(f"{what} has {len(column)} values, expected {len(rows)}: one for each row")
    digest = hashlib.sha256("\0".join(names).encode())
    digest.update(np.asarray(rows, dtype="<f8").tobytes() + np.asarray(prints, dtype="<u8").tobytes())
    digest.update(np.asarray(times_ms, dtype="<i8").tobytes() + np.asarray(places, dtype="<i8").tobytes())
    digest.update(msgspec.json.encode(traits) if traits else b"")
    return Reference(
        list(names),
        [list(row) for row in rows],
        list(prints),
        digest.hexdigest(),
        list(times_ms),
        list(places),
        counted(traits),
        [event.text for event in traits],
        swinging(traits, times_ms),
        lumps(traits, places),
    )


@dataclass(frozen=True, slots=True)
class ReferenceScorer:
    """A reference ready for use: its events, the same without their rhythm, and its own block averages; of each
    descriptor, ascending."""

    events: Floats  # descriptors x events
    rhythm: Rhythm
    calm: Floats  # descriptors x events: scores less what the rhythm expects; empty without one
    blocks: Floats  # descriptors x blocks: averages of the reference's own scores
    block: int  # events in a block
    inflation: Floats  # of each descriptor: what dependence is left between blocks (`monitor.detectors.blocks`)
    spreading: Floats  # the same between their squares
    wildness: Floats  # how many times more blocks vary in wild times
    confidences: tuple[int, ...]  # columns in which a positive value means: not measured
    normal: Floats  # scores of the ranks among the events
    block_normal: Floats  # and among the blocks

    @property
    def nbytes(self) -> int:
        """Return the bytes of its arrays; blocks of one event are scores themselves and are not held."""
        blocks = self.blocks.nbytes if self.block > 1 else 0
        return self.events.nbytes + self.calm.nbytes + blocks + self.normal.nbytes + self.block_normal.nbytes

    @property
    def size(self) -> float:
        """Return for how many independent steps the reference counts: its blocks, shared by the rhythm's parameters."""
        return float(self.blocks.shape[1] / self.rhythm.parameters)

    def dead_zone(self, arl_events: float) -> float:
        """Return what a shift must exceed because the reference is finite, where so many events are to pass between
        false alarms over all descriptors."""
        return dead_zone(arl_events / self.block, self.size, len(self.events))


@derived()
def scorer(reference: Reference) -> ReferenceScorer:
    """Return the reference made ready."""
    return ready(
        reference.names,
        np.asarray(reference.rows, dtype=np.float64).reshape(len(reference.rows), len(reference.names)),
        reference.prints,
        reference.times_ms,
        reference.places,
    )


def ready(
    names: Sequence[str],
    matrix: Floats,
    prints: Sequence[int],
    times_ms: Sequence[int] = (),
    places: Sequence[int] = (),
) -> ReferenceScorer:
    """Sort the rows, find their rhythm, and choose the block length from what dependence is left."""
    draws = uniforms(prints, matrix.shape[1])
    at = np.asarray(places, dtype=np.int64) if len(places) else np.arange(len(matrix))
    normal = quantiles(len(matrix) - 1)
    own = _own_scores(matrix, draws, normal)
    rhythm = find(own, times_ms)
    calm = own[:0]
    if rhythm.waves:
        calm = own - rhythm.expected(times_ms)
        own = _own_scores(calm, draws, normal)
    block = choose_length(own, at)
    means, numbers = averages(own, block, at)
    scores = quantiles(len(means) - 1)[means.argsort(axis=0).argsort(axis=0)]
    return ReferenceScorer(
        _sorted(matrix),
        rhythm,
        _sorted(calm),
        _sorted(means) if block > 1 else np.broadcast_to(normal, matrix.T.shape),
        block,
        inflation(means, numbers, errors=ERRORS),
        inflation(scores**2, numbers, errors=SQUARES_ERRORS),
        wildness(scores),
        tuple(j for j, name in enumerate(names) if name in CONFIDENCE),
        quantiles(len(matrix)),
        quantiles(len(means)),
    )


def event_scores(scorer: ReferenceScorer, rows: Floats, prints: Sequence[int], times_ms: Sequence[int] = ()) -> Floats:
    """Return normal scores, shape as `rows`: the smoothed rank (rank + 0.5) / (n + 1) of each value in the reference,
    mapped to a standard normal. Ties are broken at random by the event; what was not measured gets a random rank. Where
    the reference has a rhythm, what it expects at `times_ms` is taken off, and the rest ranked once more."""
    draws = uniforms(prints, rows.shape[1])
    scores = _scores(scorer.events, rows, draws, scorer.normal)
    if scorer.rhythm.waves and len(rows):
        if len(times_ms) != len(rows):
            raise ValueError(f"times_ms has {len(times_ms)} values, expected {len(rows)}: the reference has a rhythm")
        scores = _scores(scorer.calm, scores - scorer.rhythm.expected(times_ms), draws, scorer.normal)
    for column in scorer.confidences:
        missing = rows[:, column] > 0
        ranks = np.floor(draws[missing, column] * (scorer.events.shape[1] + 1)).astype(np.int64)
        scores[missing, column] = scorer.normal[ranks]
    return scores


def block_scores(scorer: ReferenceScorer, means: Floats, prints: Sequence[int]) -> Floats:
    """Return normal scores of block averages among the reference's own; with blocks of one event, the means
    themselves."""
    if scorer.block == 1:
        return means
    return _scores(scorer.blocks, means, uniforms(prints, means.shape[1]), scorer.block_normal)


def quantiles(size: int) -> Floats:
    """Return the standard normal quantiles of (rank + 0.5) / (size + 1) for the ranks 0 to `size`."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse((rank + 0.5) / (size + 1)) for rank in range(size + 1)])


def _scores(columns: Floats, rows: Floats, draws: Floats, normal: Floats) -> Floats:
    scores = np.empty_like(rows)
    for j, column in enumerate(columns):
        below = np.searchsorted(column, rows[:, j], "left")
        ties = np.searchsorted(column, rows[:, j], "right") - below
        scores[:, j] = normal[below + np.floor(draws[:, j] * (ties + 1)).astype(np.int64)]
    return scores


def _own_scores(matrix: Floats, draws: Floats, normal: Floats) -> Floats:
    """Return the reference's rows among themselves, ties broken by the event."""
    ranks = np.empty(matrix.shape, dtype=np.int64)
    for j in range(matrix.shape[1]):
        ranks[np.lexsort((draws[:, j], matrix[:, j])), j] = np.arange(len(matrix))
    return normal[ranks]


def _sorted(matrix: Floats) -> Floats:
    """Its columns, ascending."""
    return np.ascontiguousarray(np.sort(matrix, axis=0).T)
