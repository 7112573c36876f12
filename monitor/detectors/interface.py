"""What every detector promises.

A detector is its settings, frozen; what it has seen is a state, which its methods take and return. So copying a
detector is keeping a state, resetting it is `start`, and a state goes through JSON bit for bit.

How values are cut into calls changes neither the state nor the step at which a change is reported. What was not
measured (NaN, None) is no evidence and no step; what no sender may send (infinite, out of bounds) is a ValueError that
names the step, the value and what was expected. No values at all change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Moment = tuple[str, int]  # event id, event time in ms

S = TypeVar("S")
X = TypeVar("X", contravariant=True)


@dataclass(frozen=True, slots=True)
class Change:
    """The step that completed the evidence, and where and since when it speaks."""

    step: int  # index into the values given
    statistic: float
    since: Moment
    what: str  # for people
    column: int = 0  # of the values, or the category, that moved most
    each: tuple[float, ...] = ()  # the statistic of each column


class Detector(Protocol[S, X]):
    """Reports the first step at which its statistic reaches its threshold; for a second change the caller starts
    over."""

    def start(self) -> S:
        """Return the state in which nothing was seen."""

    def update(self, state: S, values: X, moments: Sequence[Moment]) -> tuple[S, Change | None]:
        """Take values in order, one moment for each."""

    def evidence(self, state: S) -> float:
        """Return the statistic over the threshold: a change is reported where it reaches 1."""


def finite(values: Floats, what: str) -> None:
    """Raise ValueError where a value is infinite."""
    bad = np.argwhere(np.isinf(values))
    if len(bad):
        place = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"{what} of step {place[0]} is {values[place]}, expected a finite number, or NaN: not measured"
        )
