"""Contexts: passages that several rows share, such as a template, an example, a document that was retrieved for them.

Passages are those of `monitor.describe.passages`: each row is cut once, whatever stands in it, and the cost grows with
the rows' characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.describe.passages import COUNTS, LEAST, passages
from monitor.describe.words import Words, words
from monitor.metrics import normalise

Ints = NDArray[np.int64]

FEW = 2  # rows: what is left of both says whether they ask the same
MANY = 8  # rows, at least, for it to tell nothing whatever is left
AT_ONCE = 500  # texts that are cut together
COUNTED = COUNTS.index("words")


@dataclass(frozen=True, slots=True)
class Contexts:
    """Hashes of the passages that rows share. `always`: of a part's rows so many have them that they tell nothing,
    whatever is left; `often`: they tell nothing where enough is left."""

    always: frozenset[int]
    often: frozenset[int]

    @classmethod
    def of(cls, parts: Sequence[Sequence[str]], share: float) -> Contexts:
        """Return the passages that the parts' texts share. `share`: of a part's rows, to be always there."""
        always, together = set[int](), Counter[int]()
        for part in parts:
            counts = Counter[int]()
            distinct = list({normalise(text): text for text in part}.values())
            for _, hashes, _, ends in _cut(distinct):
                texts = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
                once = np.unique(np.column_stack((texts[hashes != 0], hashes[hashes != 0])), axis=0)
                counts.update(once[:, 1].tolist())
            always |= {each for each, count in counts.items() if count >= max(MANY, share * len(distinct))}
            together += counts
        return cls(frozenset(always), frozenset(each for each, count in together.items() if count >= FEW))

    def without(self, texts: Sequence[str], shared: frozenset[int]) -> list[str]:
        """Return the texts without these passages, their words parted by single blanks; as they are where there are
        none to take away."""
        if not shared:
            return list(texts)
        gone = np.array(sorted(shared), dtype=np.int64)
        found = list[str]()
        for read, hashes, lengths, _ in _cut(texts):
            kept = np.repeat(~np.isin(hashes, gone), lengths)
            ends = np.cumsum(read.lengths)
            for start, end in zip(ends - read.lengths, ends, strict=True):
                places = read.places[start:end][kept[start:end]]
                found.append(" ".join([read.known[place] for place in places.tolist()]))
        return found


def _cut(texts: Sequence[str]) -> Iterator[tuple[Words, Ints, Ints, Ints]]:
    """Yield some texts' words, of each passage the hash (0 of one that is too short to be a context, or alone) and how
    many words it has, and where each text's passages end."""
    for low in range(0, len(texts), AT_ONCE):
        read = words(texts[low : low + AT_ONCE])
        found = passages(read, most=len(read.places))
        lengths = found.counts[:, COUNTED]
        inner = (lengths >= LEAST) & (np.repeat(found.per_text, found.per_text) > 1)
        hashes = np.where(inner, (found.hashes >> np.uint64(1)).astype(np.int64), 0)
        yield read, hashes, lengths, np.cumsum(found.per_text)
