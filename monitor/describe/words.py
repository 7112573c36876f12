"""The words of many texts at once: casefolded, split at blanks, and each distinct one held once.

Descriptors, fingerprints and the lists of words all ask for them, for every event: Arrow splits and numbers them in a
third of the time that Python takes, and lets other threads work meanwhile."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LONGEST = 4_000  # characters of a text that are looked at


def excerpt(text: str, most: int = LONGEST) -> str:
    """Return the text; of one with more than `most` characters its beginning and its end, as long as each other, with a
    line break between: instructions stand at the beginning, what is asked at the end.

    >>> excerpt("Read this: " + "x" * 40 + " Where is my card?", 35)
    'Read this: xxxxxx\\nWhere is my card?'
    """
    if len(text) <= most:
        return text
    head = most // 2
    return f"{text[:head]}\n{text[head + 1 - most :]}"


@dataclass(frozen=True, slots=True)
class Words:
    """`known`: distinct words. `places`: the place of each of a text's words among `known`, one text after the other.
    `lengths`: how many words each text has."""

    known: list[str]
    places: NDArray[np.int32]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    def holding(self, chosen: Set[str]) -> list[int]:
        """Return the texts that hold one of these words, in their order."""
        marks = np.array([word in chosen for word in self.known], dtype=np.bool_)
        if not marks.any():
            return []
        hits = np.flatnonzero(marks[self.places])
        texts: list[int] = np.unique(np.searchsorted(np.cumsum(self.lengths), hits, side="right")).tolist()
        return texts

    def of(self, text: int) -> list[str]:
        """Return the words of one text."""
        start = int(self.lengths[:text].sum())
        return [self.known[place] for place in self.places[start : start + self.lengths[text]]]


def words(texts: Sequence[str]) -> Words:
    """Return the words of each text, of a long one's `excerpt`. What no encoding knows, half of a pair of surrogates,
    is read as `?`.

    >>> read = words(["My card, my CARD", "", "Hello"])
    >>> read.known, read.places.tolist(), read.lengths.tolist()
    (['my', 'card,', 'card', 'hello'], [0, 1, 0, 2, 3], [4, 0, 1])
    """
    import pyarrow as pa  # only where texts are described: the gateway has no need of it
    import pyarrow.compute as pc

    read = [excerpt(text).casefold().strip() for text in texts]
    try:
        column = pa.array(read, pa.large_string())
    except UnicodeEncodeError:
        column = pa.array([text.encode(errors="replace").decode() for text in read], pa.large_string())
    split = pc.utf8_split_whitespace(column)
    lengths = np.diff(split.offsets.to_numpy())
    if not all(read):  # of a text without words Arrow makes an empty one
        empty = np.array([not text for text in read], dtype=np.bool_)
        split, lengths = split.filter(pa.array(~empty)), np.where(empty, 0, lengths)
    numbered = split.flatten().dictionary_encode()
    return Words(numbered.dictionary.to_pylist(), numbered.indices.to_numpy(), lengths.astype(np.int64))
