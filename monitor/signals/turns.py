"""Replies of one turn as steps: what one person got in it is one, whatever partitions it lies in.

>>> rows = [TurnRow(7, 1, 1, ("a", 1), [1.0]), TurnRow(7, 0, 9, ("b", 2), [1.0]), TurnRow(7, 1, 1, ("c", 3), [0.0])]
>>> steps = stepped(rows, 1)
>>> steps.values.tolist(), steps.rows, steps.firsts, steps.lasts, steps.seen
([[0.5], [1.0]], [2, 1], [('a', 1), ('b', 2)], [('c', 3), ('b', 2)], [[(0, 1), (1, 9)]])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from monitor.describe.people import UNKNOWN, together
from monitor.detectors.interface import Floats, Moment


class TurnRow(msgspec.Struct, frozen=True, array_like=True):
    """A reply. `witness`: who was behind it, as far as anything shows that people differ
    (`monitor.describe.people`)."""

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
    """Check whether no known person has two rows in a turn."""
    known = [(turn, who) for turn, who in zip(turns, people, strict=True) if who != UNKNOWN]
    return len(set(known)) == len(known)


def alone(values: Floats, moments: Sequence[Moment], witnesses: Sequence[int]) -> Steps:
    """Return rows as steps, each of its own."""
    seen = [[(k, witnesses[k]) for k in np.flatnonzero(column).tolist()] for column in values.T]
    return Steps(values, [1] * len(values), list(moments), list(moments), seen)


def stepped(rows: Sequence[TurnRow], columns: int) -> Steps:
    """Return rows as steps: those of a person in a turn are one, of others each is one."""
    values = np.array([row.values for row in rows]).reshape(len(rows), columns)
    if apart([row.turn for row in rows], [row.person for row in rows]):
        return alone(values, [row.moment for row in rows], [row.witness for row in rows])
    groups = together([(row.turn, row.person if row.person != UNKNOWN else -1 - k) for k, row in enumerate(rows)])
    sizes, order = [len(places) for places in groups], [k for places in groups for k in places]
    ordered, steps = values[order], np.repeat(np.arange(len(groups)), sizes).tolist()
    sums = np.add.reduceat(ordered, np.cumsum([0, *sizes[:-1]]), axis=0)
    return Steps(
        sums / np.array(sizes)[:, None],
        sizes,
        [rows[places[0]].moment for places in groups],
        [rows[places[-1]].moment for places in groups],
        [
            [(steps[at], rows[order[at]].witness) for at in np.flatnonzero(column > 0.0).tolist()]
            for column in ordered.T
        ],
    )
