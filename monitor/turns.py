"""Replies of one turn as steps: what one person got in it is one, whatever partitions it lies in.

>>> rows = [Row(7, 1, 1, ("a", 1), [1.0]), Row(7, 0, 9, ("b", 2), [1.0]), Row(7, 1, 1, ("c", 3), [0.0])]
>>> steps = stepped(rows, 1)
>>> steps.values.tolist(), steps.rows, steps.firsts, steps.lasts, steps.seen
([[0.5], [1.0]], [2, 1], [('a', 1), ('b', 2)], [('c', 3), ('b', 2)], [[(0, 1), (1, 9)]])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from monitor.detectors.interface import Floats, Moment
from monitor.people import UNKNOWN, together


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A reply. `witness`: who was behind it, as far as anything shows that it was somebody else (`monitor.people`)."""

    turn: int
    person: int
    witness: int
    moment: Moment
    values: list[float]


@dataclass(frozen=True, slots=True)
class Steps:
    """Replies that are judged as one, in the order in which each step began: the means of their values, shape (steps,
    columns), how many they are, and the first and last of them. `seen`: for each column the steps in which it was above
    0, and by whom it was seen."""

    values: Floats
    rows: list[int]
    firsts: list[Moment]
    lasts: list[Moment]
    seen: list[list[tuple[int, int]]]


def apart(turns: Sequence[int], people: Sequence[int]) -> bool:
    """Whether nobody known has two rows in a turn."""
    known = [(turn, who) for turn, who in zip(turns, people, strict=True) if who != UNKNOWN]
    return len(set(known)) == len(known)


def alone(values: Floats, moments: Sequence[Moment], witnesses: Sequence[int]) -> Steps:
    """Return rows as steps, each of its own."""
    seen = [[(k, witnesses[k]) for k in np.flatnonzero(column).tolist()] for column in values.T]
    return Steps(values, [1] * len(values), list(moments), list(moments), seen)


def stepped(rows: Sequence[Row], columns: int) -> Steps:
    """Return rows as steps: those of a person in a turn are one, of others each is one."""
    keys = [(row.turn, row.person if row.person != UNKNOWN else -1 - k) for k, row in enumerate(rows)]
    groups = [[rows[k] for k in places] for places in together(keys)]
    means = [np.mean([row.values for row in group], axis=0) for group in groups]
    seen = [
        [(i, row.witness) for i, group in enumerate(groups) for row in group if row.values[j] > 0.0]
        for j in range(columns)
    ]
    return Steps(
        np.array(means).reshape(len(groups), columns),
        [len(group) for group in groups],
        [group[0].moment for group in groups],
        [group[-1].moment for group in groups],
        seen,
    )
