"""Words in many texts at once, by their first signs.

Looking for one word after the other takes as long as there are words. Here each of the first places has a table, in
which each sign has the groups of words that have it there: where a group is left of all places, one of its words may
begin. So do Hyperscan's literal matchers (https://www.usenix.org/conference/nsdi19/presentation/wang-xiang)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

PLACES, GROUPS = 4, 8
MANY = 64  # of so many signs one at which a word may begin is so many that looking for each takes less

Found = re.Pattern[bytes] | None


class Needles:
    """Words in lower case, and the pattern that each stands for, if any; a pattern matches no zero byte.

    >>> Needles({b"password": None, b"=": None, b"cookie": None}).within(b"my password=, their cook")
    [b'=', b'password']
    """

    def __init__(self, patterns: Mapping[bytes, Found]) -> None:
        self.patterns = dict(patterns)
        self._short = [word for word in patterns if len(word) < PLACES]
        self._long = sorted(patterns.keys() - set(self._short))
        group = {word: 1 << i * GROUPS // len(self._long) for i, word in enumerate(self._long)}
        self._tables = [_table(group, place) for place in range(PLACES)]
        self._of = [[word for word in self._long if group[word] & groups] for groups in range(1 << GROUPS)]

    def within(self, texts: bytes) -> list[bytes]:
        """Return the words in the texts, which are in lower case."""
        found = [word for word in self._short if word in texts]
        size = len(texts) - PLACES + 1
        if size <= 0:
            return found
        groups = np.frombuffer(texts.translate(self._tables[0]), np.uint8)[:size].copy()
        for place, table in enumerate(self._tables[1:], 1):
            groups &= np.frombuffer(texts.translate(table), np.uint8)[place : place + size]
        begins = np.flatnonzero(groups)
        if len(begins) > size // MANY + PLACES:
            return found + [word for word in self._long if word in texts]
        seen = dict[bytes, None]()
        for at, left in zip(begins.tolist(), groups[begins].tolist(), strict=True):
            seen.update((word, None) for word in self._of[left] if texts.startswith(word, at))
        return found + list(seen)


def _table(group: Mapping[bytes, int], place: int) -> bytes:
    table = bytearray(256)
    for word, bit in group.items():
        table[word[place]] |= bit
    return bytes(table)
