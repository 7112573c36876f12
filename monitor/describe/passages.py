"""Passages: a prompt in up to sixteen pieces, so that what it shares with others can be parted from what is its own.

Where a passage ends depends on the words there alone, not on what stands before: so an instruction, an example or a
retrieved document falls into the same passages in every prompt that holds it (content-defined chunking: Muthitacharoen
and others 2001, "A low-bandwidth network file system"). A long line ends a passage too. Of each passage a hash of its
words is kept, and what descriptors and fingerprints take of them, all of it sums: so a judge that knows which passages
most prompts share (`monitor.reference.shared`) can take them off again, without the text.

>>> from monitor.describe.words import words
>>> rule, asked = " ".join(f"rule{k}" for k in range(200)), ("where is my card?", "i lost my phone")
>>> rows = packed(passages(words([f"{rule}\\n{each}" for each in asked])))
>>> one, other = (set(read(row)["hash"].tolist()) for row in rows)
>>> len(one & other) >= 3, len(one - other)
(True, 1)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.describe.fingerprint import signs_of, sums_of, word_hashes
from monitor.describe.words import Words

Ints = NDArray[np.int64]

MOST = 16  # passages of a prompt
LENGTH = 32  # words of a passage, about; twice, four times as many where a prompt would have too many
LEAST = 8  # words of a line that ends a passage; of fewer words is what people say again and again
KEPT_SUMS = 16  # of the 64 signs of words
COUNTS = ("words", "letters", "digits", "marks", "beyond", "asks")
PASSAGE = np.dtype([("hash", "<u4"), *((name, "<u2") for name in COUNTS), ("sums", "i1", (KEPT_SUMS,))])

_ODD = np.uint64(0x9E3779B97F4A7C15)
_ALWAYS = 99  # level of a text's beginning


@dataclass(frozen=True, slots=True)
class Passages:
    """Passages of texts, one after the other. `per_text`: how many each text has, none without words. `hashes`, one row
    of `counts` (`COUNTS`) and one of 64 `sums` for each."""

    per_text: Ints
    hashes: NDArray[np.uint64]
    counts: Ints
    sums: Ints

    def whole(self, of_each: Ints) -> Ints:
        """Return the totals of texts, of a column block with one row for each passage; zeros without words."""
        found = np.zeros((len(self.per_text), of_each.shape[1]), dtype=np.int64)
        some = self.per_text > 0
        if some.any():
            found[some] = np.add.reduceat(of_each, (np.cumsum(self.per_text) - self.per_text)[some], axis=0)
        return found


def passages(texts: Words, most: int = MOST) -> Passages:
    """Return the passages of texts, at most so many of each."""
    hashes = word_hashes(texts.known)
    each = hashes[texts.places]
    linked = each.copy()
    linked[1:] += each[:-1] * _ODD
    at, texts_of = _starts(texts, linked, most)
    per_text = np.bincount(texts_of, minlength=len(texts))
    if not len(at):
        return Passages(per_text, hashes[:0], np.empty((0, len(COUNTS)), np.int64), np.empty((0, 64), np.int64))
    lengths = np.diff(np.append(at, len(texts.places)))
    linked[at] = each[at]
    found = np.add.reduceat(linked, at)
    return Passages(per_text, found, _counts(texts, at, lengths), sums_of(signs_of(hashes), texts.places, lengths))


def packed(found: Passages) -> list[bytes]:
    """Return each text's passages as the judge's rows have them: an array of `PASSAGE` as bytes."""
    table = np.zeros(len(found.hashes), dtype=PASSAGE)
    table["hash"] = (found.hashes * _ODD) >> np.uint64(32)
    for name, column in zip(COUNTS, found.counts.T, strict=True):
        table[name] = np.minimum(column, 65_535)
    table["sums"] = np.clip(found.sums[:, :KEPT_SUMS], -127, 127)
    data, ends = table.tobytes(), (np.cumsum(found.per_text) * PASSAGE.itemsize).tolist()
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def read(row: bytes) -> NDArray[np.void]:
    """Return what `packed` made of one text, or of several, one after the other."""
    return np.frombuffer(row, dtype=PASSAGE)


def _starts(texts: Words, linked: NDArray[np.uint64], most: int) -> tuple[Ints, Ints]:
    """Return the words at which passages begin, rising, and the texts that these are of. A beginning has a level: one
    of level 2 begins a passage even where they are to be four times as long."""
    ends = np.cumsum(texts.lengths)
    at, level = _candidates(texts, linked)
    of = np.searchsorted(ends, at, side="right")
    least = np.where(texts.lengths < 2 * LEAST, _ALWAYS, 0)
    while True:
        kept = level >= least[of]
        many = np.bincount(of[kept], minlength=len(texts)) > most
        if not many.any():
            return at[kept], of[kept]
        least[many] += 1


def _candidates(texts: Words, linked: NDArray[np.uint64]) -> tuple[Ints, Ints]:
    """Return the words at which passages may begin, and their levels. A drawn one is left out where that would make a
    short passage. `linked`: of each word a hash of it and the one before."""
    firsts = (np.cumsum(texts.lengths) - texts.lengths)[texts.lengths > 0]
    chosen = np.flatnonzero(linked < np.uint64(2**64 // LENGTH))
    levels = np.log2(2.0**64 / LENGTH / (linked[chosen].astype(np.float64) + 1.0)).astype(np.int64)
    lines, strengths = _lines(texts, firsts)
    at = np.concatenate((firsts, lines, chosen))
    level = np.concatenate((np.full(len(firsts), _ALWAYS), strengths, levels))
    order = np.argsort(at, kind="stable")  # a text's first word before the line's, and both before a drawn one
    at, level, fixed = at[order], level[order], order < len(firsts) + len(lines)
    before = np.diff(at, prepend=-LEAST)
    after = np.diff(at, append=len(texts.places))
    short = (before < LEAST) | ((after < LEAST) & np.append(fixed[1:], True)[: len(at)])
    kept = np.where(fixed, before > 0, ~short)
    return at[kept], level[kept]


def _lines(texts: Words, firsts: Ints) -> tuple[Ints, Ints]:
    """Return the words at which lines begin next to a long one, and their levels: the first line and the last one of a
    text are always parted from the others, for that is where most questions stand."""
    if not len(texts.lines):
        return texts.lines, texts.lines
    begins = np.unique(np.concatenate((firsts, texts.lines[texts.lines < len(texts.places)])))
    lengths = np.diff(np.append(begins, len(texts.places)))
    longest = np.maximum(lengths, np.append(0, lengths[:-1]))
    new = np.isin(begins, firsts)
    outer = np.append(False, new[:-1]) | np.append(new[1:], True)
    some = longest >= LEAST
    levels = np.where(outer[some], _ALWAYS, np.log2(longest[some] / LEAST))
    return begins[some], levels.astype(np.int64)


def _counts(texts: Words, at: Ints, lengths: Ints) -> Ints:
    """Return a row of `COUNTS` for each passage. Four counters share one machine integer while they are added up."""
    known = texts.known
    letters = np.fromiter(map(len, known), np.int64, len(known))
    kinds = _kinds(known, letters)
    lanes = np.column_stack((letters, *kinds[:3])).astype(np.uint16).view(np.uint64).ravel()
    summed = np.add.reduceat(lanes[texts.places], at).view(np.uint16).reshape(-1, 4).astype(np.int64)
    asks = kinds[3]
    asked = np.add.reduceat(asks[texts.places], at) if asks.any() else np.zeros(len(at), dtype=np.int64)
    return np.column_stack((lengths, summed, asked))


def _kinds(known: Sequence[str], letters: Ints) -> list[Ints]:
    """Return of each word how many characters are digits, punctuation and beyond ASCII, and whether one is a question
    mark."""
    if not known:
        return [np.empty(0, dtype=np.int64)] * 4
    codes = np.frombuffer("".join(known).encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _KINDS[np.minimum(codes, 128)]
    starts = np.cumsum(letters) - letters
    counts = [np.add.reduceat(kinds == kind, starts, dtype=np.int64) for kind in (_DIGIT, _MARK, _BEYOND)]
    asks = (codes == 0x3F) | (codes == 0xFF1F) | (codes == 0x61F)
    return [*counts, np.add.reduceat(asks, starts, dtype=np.int64)]


_LETTER, _DIGIT, _MARK, _BEYOND = range(4)


def _kind(code: int) -> int:
    character = chr(code)
    if code >= 128:
        return _BEYOND
    if character.isalnum() or not character.isprintable():
        return _DIGIT if character.isdigit() else _LETTER
    return _MARK


_KINDS = np.array([_kind(code) for code in range(129)], dtype=np.int8)
