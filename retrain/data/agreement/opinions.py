"""What other people's labels say of a row's label: of requests like it, the newest that each of the nearest people
labelled. A person has one voice, however many rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from retrain.data.agreement.neighbours import Floats, likenesses
from retrain.data.example import Example

LEAST = 0.25  # likeness of two requests, for one to say something of the other
NEAR = 0.7  # of the nearest one's likeness: what is less like is left out
VOICES = 5  # people who are asked, at most
CONSIDERED = 60  # nearest rows of others


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


def opinions(asked: Sequence[Example], requests: Any, voters: Sequence[Example], others: Any) -> list[Opinion]:
    """Return the voters' opinion of each asked row. `requests`, `others`: the vectors of either."""
    people = np.array([row.labeller for row in voters])
    return [_opinion(row, near, people, voters) for row, near in zip(asked, likenesses(requests, others), strict=True)]


def _opinion(row: Example, near: Floats, people: Any, voters: Sequence[Example]) -> Opinion:
    near = np.where(people == row.labeller, 0.0, near)
    if not near.size or near.max() < LEAST:
        return Opinion()
    like = np.flatnonzero(near >= max(LEAST, NEAR * near.max()))
    like = like[np.lexsort((like, -near[like]))][:CONSIDERED]
    newest: dict[str, Example] = {}
    for place in like:
        voter = voters[place]
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
