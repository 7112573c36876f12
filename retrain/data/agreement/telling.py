"""Whether what differs between two requests can be why their labels differ: then neither says that the other is wrong.

It can where the answers take up the difference, as "open until 6 on Sunday" does the day that was asked about; where
like requests mostly have other answers than this one, so that being like says nothing about it; and where requests
differ in numbers, or in saying no, and such requests here mostly have other answers: an order's number tells nothing
about what the order's owner wants, the weight of a parcel tells the price."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from monitor.describe.words import excerpt
from monitor.metrics import tokens
from retrain.data.agreement.neighbours import LEAST, likenesses
from retrain.data.example import Example

NEAREST = 20  # requests most like one that are looked at, to see whether they are labelled alike
ALIKE = 0.5  # share of like requests that must have the same label, for such requests to speak of each other
FEWEST = 5  # pairs, to know that share
NUMBER = re.compile(r"\d")
NO = frozenset(
    (
        *("no", "not", "never", "none", "without", "cannot", "nor", "nicht", "kein", "keine", "keinen", "keiner"),
        *("nie", "ohne", "non", "pas", "jamais", "sans", "sin", "nunca", "ni", "mai", "senza", "nao", "não", "sem"),
        *("niet", "geen", "nooit", "zonder", "bez", "ikke", "aldrig", "uten", "inte", "utan"),
    )
)

Words = frozenset[str]
_SIGNS: tuple[Callable[[Words], Words], ...] = (
    lambda words: frozenset(filter(NUMBER.search, words)),
    lambda words: frozenset("no" for each in words if each in NO or each.endswith("n't")),
)


class Telling:
    """What tells requests apart among rows with these vectors. `question`: what a row asks, in full."""

    def __init__(self, rows: Sequence[Example], requests: Any, questions: Sequence[str]) -> None:
        self._rows, self._requests, self._questions = rows, requests, questions
        self._words: dict[int, Words] = {}
        self._answers: dict[str, Words] = {}

    def is_silent(self, row: int, other: int) -> bool:
        """Check that the other row, whose label is another, says nothing against the row's."""
        if self._explained(row, other):
            return True
        if self._alike.get(self._rows[other].label, 1.0) < ALIKE:
            return True
        return any(self._differ(sign, row, other) and share < ALIKE for sign, share in enumerate(self._signs))

    def _explained(self, row: int, other: int) -> bool:
        """Return whether either answer takes up what only its own request has."""
        asked, also = self._asked(row), self._asked(other)
        answer, another = (self._answer(self._rows[each].label) for each in (row, other))
        return bool((answer - another) & (asked - also) or (another - answer) & (also - asked))

    def _differ(self, sign: int, row: int, other: int) -> bool:
        return _SIGNS[sign](self._asked(row)) != _SIGNS[sign](self._asked(other))

    def _asked(self, row: int) -> Words:
        if row not in self._words:
            self._words[row] = frozenset(tokens(excerpt(self._questions[row])))
        return self._words[row]

    def _answer(self, label: str) -> Words:
        if label not in self._answers:
            self._answers[label] = frozenset(tokens(excerpt(label)))
        return self._answers[label]

    @cached_property
    def _alike(self) -> dict[str, float]:
        """The share of each label's rows whose most like request has that label, too."""
        same, of = Counter[str](), Counter[str]()
        for row, near in enumerate(self._near):
            nearest = next((each for each in near if not self._apart(row, each)), None)
            if nearest is not None:
                of[self._rows[row].label] += 1
                same[self._rows[row].label] += self._rows[row].label == self._rows[nearest].label
        return {label: same[label] / count for label, count in of.items()}

    @cached_property
    def _signs(self) -> tuple[float, ...]:
        """The share of rows whose most like request with another sign has the same label; 0 where that is not known."""
        return tuple(self._same_despite(sign) for sign in range(len(_SIGNS)))

    def _same_despite(self, sign: int) -> float:
        pairs = [
            (row, next((each for each in near if self._differ(sign, row, each) and not self._apart(row, each)), None))
            for row, near in enumerate(self._near)
        ]
        same = [self._rows[row].label == self._rows[other].label for row, other in pairs if other is not None]
        return sum(same) / len(same) if len(same) >= FEWEST else 0.0

    def _apart(self, row: int, other: int) -> bool:
        return self._rows[row].label != self._rows[other].label and self._explained(row, other)

    @cached_property
    def _near(self) -> list[list[int]]:
        """The rows most like each row, the most like first; none that asks the very same."""
        found = []
        for row, near in enumerate(likenesses(self._requests, self._requests)):
            like = np.flatnonzero(near >= LEAST)
            like = like[np.lexsort((like, -near[like]))][: 2 * NEAREST].tolist()
            others = [each for each in like if self._questions[each] != self._questions[row]]
            found.append(others[:NEAREST])
        return found
