"""Do the texts come from elsewhere than the reference's? A two-sample test by betting, on their fingerprints.

A text is the 64 signs of its SimHash (`monitor.fingerprint`): texts of like words have like signs. A witness, the
direction in which lately seen texts lie from the reference, is fixed before each bet; the bet is that the next text
lies in that direction too (Shekhar and Ramdas 2023, "Nonparametric two-sample testing by betting", here with a
linear kernel). What the witness says of the reference's own texts, plus the dead zone of their finite number, is what
it may say of the next one: so each bet has mean at most one while the texts come from where the reference's did, and
at least `arl` of them pass on average between false alarms (`monitor.detectors.mixture`).

>>> rng = np.random.default_rng(0)
>>> def texts(count, bias=0.5):
...     return [sum(1 << bit for bit in np.flatnonzero(row).tolist()) for row in rng.random((count, 64)) < bias]
>>> detector = Texts(arl=10_000, reference=tuple(texts(500)))
>>> seen = texts(100) + texts(100, 0.6)
>>> _, change = detector.update(detector.start(), seen, [(str(k), k) for k in range(200)])
>>> change.step, change.since[0], change.what
(156, '104', "texts lie elsewhere than the reference's")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.detectors import mixture
from monitor.detectors.interface import Change, Floats, Moment

BITS = 64
MEMORY = 100.0  # texts that the witness looks back on
AIM_EVERY = 8  # texts between two choices of the witness
REACH = 3.0  # standard deviations beyond which a text says no more
STAKES = (0.1, 0.3, 0.9)
DEAD_ZONE = 2.0  # standard errors of what the reference says


class State(msgspec.Struct, frozen=True):
    """The bets, the mean of lately seen signs, and that mean when the witness was chosen."""

    bets: mixture.State
    lately: list[float]
    aim: list[float]
    count: int = 0


@dataclass(frozen=True, slots=True)
class Texts:
    """`arl`: texts between false alarms, at least. `reference`: fingerprints of at least two healthy texts."""

    arl: float
    reference: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.reference) < 2:
            raise ValueError(f"reference has {len(self.reference)} texts, expected at least 2")
        _check([self.reference])

    def start(self) -> State:
        """Nothing seen."""
        centre = _signs(self.reference).mean(axis=0).tolist()
        return State(mixture.start(1, len(STAKES)), centre, centre)

    def update(
        self, state: State, values: Sequence[int | None], moments: Sequence[Moment]
    ) -> tuple[State, Change | None]:
        """Takes fingerprints in order; None: no text."""
        return self.update_blocks(state, [() if value is None else (value,) for value in values], moments)

    def update_blocks(
        self, state: State, blocks: Sequence[Sequence[int]], moments: Sequence[Moment]
    ) -> tuple[State, Change | None]:
        """Takes the fingerprints of blocks of texts that may depend on each other; one of none is no step. A bet is
        on what the witness says of a block's texts on average."""
        _check(blocks)
        change: Change | None = None
        low = 0
        while low < len(blocks):
            high = min(len(blocks), low + AIM_EVERY - state.count % AIM_EVERY)
            state, found = self._bet(state, blocks[low:high], moments[low:high])
            if found is not None and change is None:
                what = "texts lie elsewhere than the reference's"
                change = Change(low + found.step, found.statistic, found.since, what)
            low = high
        return state, change

    def evidence(self, state: State) -> float:
        """The statistic over the threshold."""
        return mixture.statistic(state.bets) / self.arl

    def _bet(
        self, state: State, blocks: Sequence[Sequence[int]], moments: Sequence[Moment]
    ) -> tuple[State, mixture.Reached | None]:
        """Of blocks that meet one and the same witness."""
        signs = _signs(tuple(value for block in blocks for value in block))
        sizes = np.array([len(block) for block in blocks], dtype=np.int64)
        gains = self._gains(np.array(state.aim), signs, sizes)
        bets, found = mixture.advance(self.arl, state.bets, gains, moments)
        lately = np.array(state.lately)
        for row in signs:
            lately += (row - lately) / MEMORY
        count = state.count + len(blocks)
        aim = lately.tolist() if count % AIM_EVERY == 0 else state.aim
        return State(bets, lately.tolist(), aim, count), found

    def _gains(self, aim: Floats, signs: Floats, sizes: NDArray[np.int64]) -> Floats:
        """Log factors, shape (blocks, 1, stakes); NaN where the witness sees no direction, or a block no text."""
        own = _signs(self.reference)
        witness = aim - own.mean(axis=0)
        told = (own * witness).sum(axis=1)
        centre, spread = float(told.mean()), float(told.std())
        if spread == 0.0:
            return np.full((len(sizes), 1, len(STAKES)), np.nan)
        usual = np.clip((told - centre) / (REACH * spread), -1.0, 1.0)
        allowed = float(usual.mean()) + DEAD_ZONE * float(usual.std()) / np.sqrt(len(usual))
        each = np.clip(((signs * witness).sum(axis=1) - centre) / (REACH * spread), -1.0, 1.0)
        said = _means(each, sizes)
        # over 1 + allowed, so that no stake below one can lose everything
        payoffs = (said - allowed) / (1.0 + abs(allowed))
        gains: Floats = np.log1p(np.array(STAKES) * payoffs[:, None])[:, None, :]
        return gains


def _means(values: Floats, sizes: NDArray[np.int64]) -> Floats:
    """Of each block's values; NaN of none."""
    sums = np.zeros(len(sizes))
    np.add.at(sums, np.repeat(np.arange(len(sizes)), sizes), values)
    means: Floats = sums / np.where(sizes, sizes, np.nan)
    return means


def _check(blocks: Sequence[Sequence[int]]) -> None:
    for step, block in enumerate(blocks):
        for value in block:
            if not 0 <= value < 1 << BITS:
                raise ValueError(f"fingerprint of step {step} is {value}, expected {BITS} bits: 0 to 2^{BITS} - 1")


@lru_cache(maxsize=16)
def _signs(prints: tuple[int, ...]) -> Floats:
    """Shape (len(prints), BITS), +1 or -1, the highest bit first; not to be written to."""
    octets = np.array(prints, dtype=">u8").view(np.uint8).reshape(len(prints), 8)
    signs = np.unpackbits(octets, axis=1).astype(np.float64) * 2.0 - 1.0
    signs.flags.writeable = False
    return signs
