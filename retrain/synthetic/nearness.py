"""How near a row is to real ones: the likeness of its request to that of the nearest, by TF-IDF of pieces of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.describe.words import excerpt
from retrain.data.agreement.neighbours import PIECES, likenesses
from retrain.data.duplicates import ALIKE, pieces, similarity
from retrain.data.example import Example
from retrain.data.likeness import Likeness


class NearestRow(NamedTuple):
    """The real row that another is most like: how much, from 0 to 1, and whether it is nearly the same text."""

    id: str
    likeness: float
    copied: bool


@dataclass(frozen=True, slots=True)
class Nearness:
    """Real rows, ready for comparisons."""

    rows: Sequence[Example]
    likeness: Likeness
    words: Any  # a vectorizer that knows their pieces
    vectors: Any
    sets: Sequence[frozenset[str]]

    @classmethod
    def of(cls, rows: Sequence[Example]) -> Nearness:
        """Return the rows, ready. Raise ValueError where none has a text."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        likeness = Likeness.of(rows)
        texts = likeness.differences(rows)
        words = TfidfVectorizer(analyzer="char_wb", ngram_range=PIECES, sublinear_tf=True)
        try:
            vectors = words.fit_transform(map(excerpt, texts))
        except ValueError as error:
            raise ValueError(f"{len(rows)} real rows, expected some with a text: {error}") from error
        return cls(rows, likeness, words, vectors, [pieces(each) for each in texts])

    def nearest(self, rows: Sequence[Example]) -> list[NearestRow]:
        """Return the nearest real row of each."""
        if not rows:
            return []
        texts = self.likeness.differences(rows)
        found = likenesses(self.words.transform(map(excerpt, texts)), self.vectors)
        return [self._at(pieces(text), each) for text, each in zip(texts, found, strict=True)]

    def own(self) -> list[float]:
        """Return each real row's likeness to the nearest other real row."""
        found = []
        for place, each in enumerate(likenesses(self.vectors, self.vectors)):
            each[place] = 0.0
            found.append(float(each.max()))
        return found

    def _at(self, found: frozenset[str], likeness: NDArray[np.float64]) -> NearestRow:
        place = int(likeness.argmax())
        copied = similarity(found, self.sets[place]) >= ALIKE
        return NearestRow(self.rows[place].id, float(likeness[place]), copied)
