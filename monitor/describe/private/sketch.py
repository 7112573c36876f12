"""Many texts at once, as bytes, to see quickly which of them may hold anything private: nearly none does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
        self._numbered: set[int] | None = None

    def numbered(self) -> set[int]:
        """Return the texts with as many digits in a row as a telephone number has at least, blanks and dashes left out:
        an account's number and a card's have more."""
        if self._numbered is None:
            self._numbered = {*self.holding(b"n" * FEWEST, DIGITS, b" \n_:()+./-"), *self.far()}
        return self._numbered

    def holding(self, needle: bytes, kinds: bytes | None = None, without: bytes = b"") -> list[int]:
        """Return the texts that hold the needle, of the kinds of their bytes where a table of them is given."""
        data = self.data if kinds is None else self.data.translate(kinds, without)
        return self._within(data, needle) if needle in data else []

    def _within(self, data: bytes, needle: bytes) -> list[int]:
        found: list[int] = []
        text, seen, at = 0, 0, data.find(needle)
        while at >= 0:
            text += data.count(b"\0", seen, at)
            found.append(text)
            seen = data.find(b"\0", at)
            at = data.find(needle, seen) if seen >= 0 else -1
        return found

    def any_of(self, needles: Iterable[bytes]) -> set[int]:
        """Return the texts that hold one of them, which are in lower case, whatever the text's case."""
        small = self.data.lower()
        found = [needle for needle in needles if needle in small]
        return {i for needle in found for i in self._within(small, needle)} if found else set()

    def mixed(self) -> bool:
        """Return whether a letter and a digit stand next to each other somewhere, but for signs within a word."""
        kinds = self.data.translate(_MIXTURE, _WITHIN)
        return b"xn" in kinds or b"nx" in kinds

    def far(self) -> list[int]:
        """Return the texts with other digits than ours."""
        if self.ascii or b"n" not in self.data.translate(_FAR):
            return []
        return [i for i, text in enumerate(self.texts) if not text.isascii() and _far_digit.search(text)]


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
_WITHIN = b"!#$%()*+./:=?@[\\]^_`{|}~-"
_MIXTURE = bytes(
    ord("n" if chr(byte) in digits else "x" if byte > 127 or chr(byte) in ascii_letters else ".") for byte in range(256)
)
_FAR = bytes(ord("n" if byte in b"\xd9\xdb\xdf\xe0\xe1\xea\xef\xf0" else ".") for byte in range(256))
