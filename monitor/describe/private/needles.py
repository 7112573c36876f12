"""Words in many texts at once, by their rarest signs.

Looking for one word after the other takes as long as there are words. Here a word is known by four signs in a row; each
of their places has a table, in which each sign has the groups of words that have it there: where a group is left of all
four, one of its words may be. So do Hyperscan's literal matchers
(https://www.usenix.org/conference/nsdi19/presentation/wang-xiang)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

PLACES, GROUPS = 4, 8
MANY = 64  # of so many signs one at which a word may be is so many that looking for each takes less
COMMON = b" etaoinshrdlcumwfgypbvkjxqz"  # the most common sign first
Found = re.Pattern[bytes] | None


class Needles:
    """Words in lower case, and the pattern that each stands for, if any; a pattern matches no zero byte.

    >>> Needles({b"password": None, b"=": None, b"cookie": None}).within(b"my password=, their cook")
    [b'=', b'password']
    """

    def __init__(self, patterns: Mapping[bytes, Found]) -> None:
        self.patterns = dict(patterns)
        self._short = [word for word in patterns if len(word) < PLACES]
        known = [(word, _rarest(word)) for word in patterns if len(word) >= PLACES]  # and where its rarest signs begin
        known.sort(key=lambda each: each[0][each[1] :])
        tables = [bytearray(256) for _ in range(PLACES)]
        self._of: list[list[tuple[bytes, int]]] = [[] for _ in range(1 << GROUPS)]
        for i, (word, begin) in enumerate(known):
            group = 1 << i * GROUPS // len(known)
            for table, sign in zip(tables, word[begin:], strict=False):
                table[sign] |= group
            for groups in range(1 << GROUPS):
                if groups & group:
                    self._of[groups].append((word, begin))
        self._tables = [bytes(table) for table in tables]

    def within(self, texts: bytes) -> list[bytes]:
        """Return the words in the texts, which are in lower case."""
        found = [word for word in self._short if word in texts]
        size = len(texts) - PLACES + 1
        if size <= 0:
            return found
        groups = np.frombuffer(texts.translate(self._tables[0]), np.uint8)[:size].copy()
        for place, table in enumerate(self._tables[1:], 1):
            groups &= np.frombuffer(texts.translate(table), np.uint8)[place : place + size]
        places = np.flatnonzero(groups)
        if len(places) > size // MANY + PLACES:
            return found + [word for word, _ in self._of[-1] if word in texts]
        seen = set[bytes]()
        for at, left in zip(places.tolist(), groups[places].tolist(), strict=True):
            for word, begin in self._of[left]:
                if word not in seen and at >= begin and texts.startswith(word, at - begin):
                    seen.add(word)
        return [*found, *seen]


def _rarest(word: bytes) -> int:
    """Return where those of its signs begin that are rarest in a row, in plain English."""
    return max(range(len(word) - PLACES + 1), key=lambda at: sum(map(_rareness, word[at : at + PLACES])))


def _rareness(sign: int) -> int:
    return COMMON.index(sign) if sign in COMMON else len(COMMON)
