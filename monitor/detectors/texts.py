"""Do the texts come from elsewhere than the reference's? A two-sample test by betting, on their fingerprints.

A text is the 64 signs of its SimHash (`monitor.describe.fingerprint`): texts of similar words have similar signs. A
witness, the direction in which recent texts lie from the reference, is fixed before each bet; the bet is that the next
text lies in that direction too (Shekhar and Ramdas 2023, "Nonparametric two-sample testing by betting", here with a
linear kernel). It lies from the reference's first half; what it says of the texts of the second half, plus the dead
zone of their finite number, is what it may say of the next one: so each bet has mean at most one while the texts come
from where the reference's did, and at least `arl` of them pass on average between false alarms
(`monitor.detectors.mixture`). With one half for both, what chance put into it was in the direction and in the
comparison: 300 texts of reference gave an alarm after 440 healthy ones.

>>> rng = np.random.default_rng(0)
>>> def texts(count, bias=0.5):
...     return [sum(1 << bit for bit in np.flatnonzero(row).tolist()) for row in rng.random((count, 64)) < bias]
>>> detector = Texts(arl=10_000, reference=tuple(texts(500)))
>>> seen = texts(100) + texts(100, 0.6)
>>> _, change = detector.update(detector.start(), seen, [(str(k), k) for k in range(200)])
>>> change.step, change.since[0], change.what
(169, '113', "texts lie elsewhere than the reference's")
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.detectors import mixture
from monitor.detectors.interface import Change, Floats, Moment
from monitor.detectors.mixture import Reached

BITS = 64
MEMORY = 100.0  # texts that the witness looks back on
AIM_EVERY = 16  # steps between two choices of the witness
REACH = 3.0  # standard deviations beyond which a text says no more
STAKES = (0.1, 0.3, 0.9)
DEAD_ZONE = 2.0  # standard errors of what the reference says


class Witness(msgspec.Struct, frozen=True):
    """The mean of recent signs, and that mean when the direction to bet on was chosen."""

    recent: list[float] = msgspec.field(name="lately", default_factory=list)
    aim: list[float] = []
    count: int = 0


class State(msgspec.Struct, frozen=True):
    """The bets, and what they are on."""

    bets: mixture.State
    witness: Witness


@dataclass(frozen=True, slots=True)
class Texts:
    """`arl`: texts between false alarms, at least. `reference`: fingerprints of at least two healthy texts. `block`: as
    many of them count for one, because they depend on each other; `inflation` (`monitor.detectors.blocks`): what
    dependence that leaves; as many times less is bet."""

    arl: float
    reference: tuple[int, ...]
    block: int = 1
    inflation: float = 1.0
    places: NDArray[np.intp] = field(init=False, repr=False, compare=False)  # second half's octets, for `_answers`
    centre: Floats = field(init=False, repr=False, compare=False)  # mean of the first half's signs

    def __post_init__(self) -> None:
        if len(self.reference) < 2:
            raise ValueError(f"reference has {len(self.reference)} texts, expected at least 2")
        _check(self.reference)
        half = len(self.reference) // 2
        octets = _octets(self.reference[half:]).T.astype(np.intp)
        object.__setattr__(self, "places", np.ascontiguousarray(octets + 256 * np.arange(8)[:, None]))
        object.__setattr__(self, "centre", _signs(self.reference[:half]).mean(axis=0))

    @property
    def nbytes(self) -> int:
        """Return the bytes of the reference, as numbers and as places of octets."""
        return len(self.reference) * (8 + 32) + self.places.nbytes + self.centre.nbytes

    @property
    def weights(self) -> Floats:
        """Return the weights of the bets: alike."""
        return mixture.even(len(STAKES))

    def start(self) -> State:
        """Return the state in which nothing was seen."""
        return State(mixture.start(len(STAKES)), self.witness())

    def witness(self) -> Witness:
        """Return a witness that has seen nothing."""
        centre = self.centre.tolist()
        return Witness(centre, centre)

    def update(
        self, state: State, values: Sequence[int | None], moments: Sequence[Moment], length: int = 1
    ) -> tuple[State, Change | None]:
        """Take fingerprints in order; None: no text. Of texts that depend on each other, so many in a row are one step,
        with one moment: a bet is on what the witness says of them on average."""
        witness, gains = self.look(state.witness, values, length)
        bets, transitions = mixture.advance(self.arl, self.weights, state.bets, gains, moments)
        found = mixture.first(transitions)
        return State(bets, witness), self.change(found) if found else None

    def look(self, witness: Witness, values: Sequence[int | None], length: int = 1) -> tuple[Witness, Floats]:
        """Return what the witness says of the steps, as log factors of the bets, shape (steps, bets), and the witness
        that has seen them. ValueError for what is no fingerprint."""
        _check(values, length)
        gains = [np.empty((0, len(STAKES)))]
        low, steps = 0, len(values) // length
        while low < steps:
            high = min(steps, low + AIM_EVERY - witness.count % AIM_EVERY)
            some = values[low * length : high * length]
            signs = _signs([value for value in some if value is not None])
            known = np.array([value is not None for value in some]).reshape(-1, length)
            gains.append(self._gains(np.array(witness.aim) - self.centre, signs, known))
            witness = _seen(witness, signs, high - low)
            low = high
        return witness, np.concatenate(gains)

    def change(self, found: Reached) -> Change:
        """Describe the change for people."""
        what = "texts lie elsewhere than the reference's"
        return Change(found.step, found.statistic, found.since, what, 0, (float(found.sums.mean()),))

    def evidence(self, state: State) -> float:
        """Return the statistic over the threshold."""
        return mixture.statistic(state.bets, self.weights) / self.arl

    def _gains(self, witness: Floats, signs: Floats, known: NDArray[np.bool_]) -> Floats:
        """Return log factors of steps that meet one and the same direction; NaN where there is none, or a step no
        text."""
        answers = self._answers(witness)
        middle, spread = _mean_spread(answers)
        if spread == 0.0:
            return np.full((len(known), len(STAKES)), np.nan)
        usual = np.clip((answers - middle) / (REACH * spread), -1.0, 1.0)
        center, width = _mean_spread(usual)
        allowed = center + DEAD_ZONE * width * math.sqrt(self.block / len(usual))
        each = np.clip(((signs * witness).sum(axis=1) - middle) / (REACH * spread), -1.0, 1.0)
        # over 1 + allowed, so that no stake below one can lose everything
        payoffs = (_means(each, known) - allowed) / (1.0 + abs(allowed))
        gains: Floats = np.log1p(np.array(STAKES) / self.inflation * payoffs[:, None])
        return gains

    def _answers(self, witness: Floats) -> Floats:
        """Return what the witness says of each text of the reference's second half: of each octet all 256 values are
        worked out once."""
        tables = np.einsum("pk,ok->op", _PATTERNS, witness.reshape(8, 8))
        answers: Floats = tables.ravel().take(self.places).sum(axis=0)
        return answers


def _mean_spread(values: Floats) -> tuple[float, float]:
    """Return the mean and the standard deviation."""
    middle = float(values.mean())
    off = values - middle
    return middle, math.sqrt(float(np.einsum("i,i->", off, off)) / len(values))


def _seen(witness: Witness, signs: Floats, steps: int) -> Witness:
    recent = np.array(witness.recent)
    for row in signs:
        recent += (row - recent) / MEMORY
    count = witness.count + steps
    return Witness(recent.tolist(), recent.tolist() if count % AIM_EVERY == 0 else witness.aim, count)


def _means(values: Floats, known: NDArray[np.bool_]) -> Floats:
    """Of each step's values; NaN of none. `known`: steps x texts, which of them have a value."""
    if known.shape[1] == 1 and known.all():
        return values
    spread = np.zeros(known.shape)
    spread[known] = values
    counts = known.sum(axis=1)
    means: Floats = spread.sum(axis=1) / np.where(counts, counts, np.nan)
    return means


def _check(values: Sequence[int | None], length: int = 1) -> None:
    for k, value in enumerate(values):
        if value is not None and not 0 <= value < 1 << BITS:
            step = k // length
            raise ValueError(f"fingerprint of step {step} is {value}, expected {BITS} bits: 0 to 2^{BITS} - 1")


def _signs(prints: Sequence[int]) -> Floats:
    """Shape (len(prints), BITS), +1 or -1, the highest bit first."""
    return np.unpackbits(_octets(prints), axis=1).astype(np.float64) * 2.0 - 1.0


def _octets(prints: Sequence[int]) -> NDArray[np.uint8]:
    """Shape (len(prints), 8), the highest first."""
    return np.array(prints, dtype=">u8").view(np.uint8).reshape(len(prints), 8)


_PATTERNS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64) * 2.0 - 1.0
