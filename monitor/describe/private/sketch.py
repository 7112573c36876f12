"""Many texts at once, as bytes, to see quickly which of them may hold anything private: nearly none does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import ascii_letters, digits

from monitor.describe.private.characters import plain

FEWEST = 7
_far_digit = re.compile(r"(?![0-9])\d")


class Sketch:
    """Many texts as the bytes of one, a zero byte between them, and one byte for each kind of byte: as quick to look
    through as anything can be here."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts = [plain(text) for text in texts]
        whole = "\0".join(texts)
        if whole.count("\0") >= max(len(texts), 1):  # no pattern knows zero bytes: any other will do
            whole = "\0".join(text.replace("\0", "\1") for text in texts)
        self.ascii = whole.isascii()
        self.data = whole.encode(errors="replace")
        self._numbers: tuple[list[int], Sketch] | None = None

    def numbers(self) -> tuple[list[int], Sketch]:
        """Return the texts with as many digits in a row as a telephone number has at least, blanks and dashes left out,
        and a sketch of these alone: an account's number and a card's have more."""
        if self._numbers is None:
            places = self.holding(b"n" * FEWEST, DIGITS, b" \n_:()./-")
            if far := self.far():
                places = sorted({*places, *far})
            some = 0 < len(places) < len(self.texts)
            self._numbers = places, Sketch([self.texts[i] for i in places]) if some else self
        return self._numbers

    def holding(self, needle: bytes, kinds: bytes | None = None, without: bytes = b"") -> list[int]:
        """Return the texts that hold the needle, of the kinds of their bytes where a table of them is given."""
        data = self.data if kinds is None else self.data.translate(kinds, without)
        return _within(data, needle) if needle in data else []

    def any_of(self, needles: Mapping[bytes, re.Pattern[bytes] | None]) -> set[int]:
        """Return the texts that hold one of the needles, which are in lower case, whatever the text's case; of a needle
        with a pattern those in which this is found. A pattern matches no zero byte."""
        small, found = self.data.lower(), set[int]()
        for needle in [needle for needle in needles if needle in small]:
            pattern = needles[needle]
            found.update(_within(small, needle) if pattern is None else _matching(small, pattern))
        return found

    def far(self) -> list[int]:
        """Return the texts with other digits than ours."""
        if self.ascii or b"n" not in self.data.translate(_FAR):
            return []
        return [i for i, text in enumerate(self.texts) if not text.isascii() and _far_digit.search(text)]


def _within(data: bytes, needle: bytes) -> list[int]:
    found: list[int] = []
    text, seen, at = 0, 0, data.find(needle)
    while at >= 0:
        text += data.count(b"\0", seen, at)
        found.append(text)
        seen = data.find(b"\0", at)
        at = data.find(needle, seen) if seen >= 0 else -1
    return found


def _matching(data: bytes, pattern: re.Pattern[bytes]) -> list[int]:
    found: list[int] = []
    text, seen, match = 0, 0, pattern.search(data)
    while match:
        text += data.count(b"\0", seen, match.start())
        found.append(text)
        seen = data.find(b"\0", match.start())
        match = pattern.search(data, seen) if seen >= 0 else None
    return found


def kinds_table(gap: int = 0, **kinds: str) -> bytes:
    """Return a table of the kinds of bytes for `Sketch.holding`: each kind is a letter, all others are a dot."""
    table = bytearray(b"." * 256)
    table[0] = gap
    for kind, members in kinds.items():
        for member in members.encode():
            table[member] = ord(kind)
    return bytes(table)


TOKENS = kinds_table(ord("-"), x=ascii_letters + digits + "-_.")
DIGITS = kinds_table(x=ascii_letters, n=digits)
_FAR = bytes(ord("n" if byte in b"\xd9\xdb\xdf\xe0\xe1\xea\xef\xf0" else ".") for byte in range(256))
