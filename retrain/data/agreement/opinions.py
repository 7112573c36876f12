"""What other people's labels say of a row's label: of requests like it, the newest that each of the nearest people
labelled. A person has one voice, however many rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from retrain.data.agreement.neighbours import LEAST, Floats, likenesses
from retrain.data.agreement.telling import Telling
from retrain.data.example import Example

NEAR = 0.7  # of the nearest one's likeness: what is less like is left out
VOICES = 5  # people who are asked, at most
CONSIDERED = 60  # nearest rows of others
HEARD = 300  # of others, the nearest first, of whom it is asked whether they say anything; at most


class Opinion(NamedTuple):
    """How many people labelled like requests, how many of them alike, and how many agreed on one other label."""

    voices: int = 0
    agreeing: int = 0
    against: int = 0
    other: str = ""  # the label that most of the rest gave

    @property
    def is_alone(self) -> bool:
        """Return whether others labelled such requests, and none of them so."""
        return self.voices > 0 and not self.agreeing


def opinions(
    rows: Sequence[Example], requests: Any, asked: Sequence[int], voters: Sequence[int], telling: Telling
) -> list[Opinion]:
    """Return the voters' opinion of each asked row; both by their places among the rows. `requests`: the vectors of the
    rows; `telling`: who of them says nothing against whom."""
    people = np.array([rows[place].labeller for place in voters])
    near = likenesses(requests[asked], requests[voters])
    return [
        _opinion(rows, place, np.where(people == rows[place].labeller, 0.0, each), voters, telling)
        for place, each in zip(asked, near, strict=True)
    ]


def _opinion(rows: Sequence[Example], asked: int, near: Floats, voters: Sequence[int], telling: Telling) -> Opinion:
    like = np.flatnonzero(near >= LEAST)
    like = like[np.lexsort((like, -near[like]))]
    first = _counted(rows[asked], near, like, rows, voters)
    if not first.is_alone:
        return first
    speaking = [
        each
        for each in like[:HEARD]
        if rows[voters[each]].label == rows[asked].label or not telling.is_silent(asked, voters[each])
    ]
    return _counted(rows[asked], near, np.array(speaking, dtype=np.int64), rows, voters)


def _counted(row: Example, near: Floats, like: Any, rows: Sequence[Example], voters: Sequence[int]) -> Opinion:
    """Return the opinion of the voters at these places, of whom the first is most like the row."""
    if not len(like):
        return Opinion()
    nearest = like[near[like] >= NEAR * near[like[0]]][:CONSIDERED]
    newest: dict[str, Example] = {}
    for place in nearest:
        voter = rows[voters[place]]
        if voter.labeller not in newest or _when(voter) > _when(newest[voter.labeller]):
            newest[voter.labeller] = voter
    asked_of = sorted(newest.values(), key=_when)[-VOICES:]
    votes = Counter(each.label for each in asked_of)
    rest = sorted(((count, label) for label, count in votes.items() if label != row.label), reverse=True)
    against, other = rest[0] if rest else (0, "")
    return Opinion(len(asked_of), votes[row.label], against, other)


def _when(row: Example) -> tuple[int, str]:
    return row.time_ms, row.id


def alone_share(opinions: Collection[Opinion]) -> tuple[int, int]:
    """Return how many of the labels stand alone, and of how many others labelled like requests at all."""
    return sum(each.is_alone for each in opinions), sum(each.voices > 0 for each in opinions)
