"""The words of many texts at once: casefolded, split at blanks, and each distinct one held once.

Descriptors, fingerprints and the lists of words all ask for them, for every event: Arrow splits and numbers them in a
third of the time that Python takes, and lets other threads work meanwhile. Fields of JSON are words of their own, and
so are the characters of scripts that are written without blanks."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LONGEST = 4_000  # characters of a text in which patterns are looked for
READ = 16_000  # characters of a text whose words are read
WINDOWS = 8  # of a longer text, besides its beginning and its end

_LINE = "\ue000"  # for private use: stands for the end of a line while words are split
_UNSPACED = re.compile("[\u0e00-\u0edf\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_NONE = np.empty(0, dtype=np.int64)


def excerpt(text: str, most: int = LONGEST) -> str:
    """Return the text; of one with more than `most` characters its beginning and its end, and from between them windows
    that are evenly spread, with line breaks between: an instruction stands at either end, a question anywhere.

    >>> excerpt("Read this: " + "x" * 40 + " Where is my card?", 40)
    'Read this:\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\nx\\n my card?'
    """
    if len(text) <= most:
        return text
    end = most // 4
    size = (most - 2 * end - WINDOWS - 1) // WINDOWS
    gap = (len(text) - 2 * end - WINDOWS * size) // (WINDOWS + 1)
    starts = range(end + gap, len(text) - end, size + gap)
    inner = [text[start : start + size] for start in starts[:WINDOWS]]
    return "\n".join([text[:end], *inner, text[len(text) - end + 1 :]])


@dataclass(frozen=True, slots=True)
class Words:
    """`known`: distinct words. `places`: the place of each of a text's words among `known`, one text after the other.
    `lengths`: how many words each text has. `lines`: before which of all words a line ends, rising; one may be twice
    there, or stand between two texts."""

    known: list[str]
    places: NDArray[np.int32]
    lengths: NDArray[np.int64]
    lines: NDArray[np.int64] = field(default_factory=lambda: _NONE)

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
    """Return the words of each text, of a very long one's `excerpt`. What no encoding knows, half of a pair of
    surrogates, is read as `?`.

    >>> read = words(["My card, my\\nCARD", "", "Hello"])
    >>> read.known, read.places.tolist(), read.lengths.tolist(), read.lines.tolist()
    (['my', 'card,', 'card', 'hello'], [0, 1, 0, 2, 3], [4, 0, 1], [3])
    """
    import pyarrow as pa  # only where texts are described: the gateway has no need of it
    import pyarrow.compute as pc

    read = [_spaced(excerpt(text, READ).strip().casefold()).strip() for text in texts]
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
    found = Words(numbered.dictionary.to_pylist(), numbered.indices.to_numpy(), lengths.astype(np.int64))
    return _without_lines(found) if _LINE in found.known else found


def _spaced(text: str) -> str:
    """Return the text with blanks where words end without one."""
    if "\n" in text:
        text = text.replace("\n", f" {_LINE} ")
    if '":' in text:
        text = text.replace('":', '": ').replace(',"', ', "')
    return text if text.isascii() else _UNSPACED.sub(r" \g<0> ", text)


def _without_lines(found: Words) -> Words:
    """Return the words without the marks of lines, and where these stood."""
    mark = found.known.index(_LINE)
    marked = found.places == mark
    before = np.cumsum(marked)
    ends = np.cumsum(found.lengths)
    counts = np.diff(np.concatenate(([0], np.concatenate(([0], before))[ends])))
    at = np.flatnonzero(marked)
    places = found.places[~marked]
    known = found.known[:mark] + found.known[mark + 1 :]
    return Words(known, np.where(places > mark, places - 1, places), found.lengths - counts, at - np.arange(len(at)))
