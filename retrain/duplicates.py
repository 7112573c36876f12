"""Rows that ask nearly the same: found by MinHash, confirmed by the real overlap of their words' pieces.

Broder 1997, "On the resemblance and containment of documents"; the sketches are datasketch's."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.metrics import normalise

PIECE = 4  # characters
ALIKE = 0.7  # Jaccard similarity of the pieces
PERMUTATIONS = 64


def clusters(texts: Sequence[str]) -> list[int]:
    """A cluster's number for each text: the index of its first text. Near duplicates, and near duplicates of these,
    share it.

    >>> clusters(["Where is my new card?", "where is my new card", "I lost my phone"])
    [0, 0, 2]
    """
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=ALIKE, num_perm=PERMUTATIONS)
    sets = [pieces(text) for text in texts]
    sketches = MinHash.generator([[p.encode() for p in each] for each in sets], num_perm=PERMUTATIONS, seed=1)
    parents = list(range(len(texts)))
    for i, sketch in enumerate(sketches):
        for j in index.query(sketch):
            if similarity(sets[i], sets[j]) >= ALIKE:
                _join(parents, i, j)
        index.insert(i, sketch)
    return [_root(parents, i) for i in range(len(texts))]


def pieces(text: str) -> frozenset[str]:
    """All runs of four characters of the normalised text; the text itself where it is shorter."""
    plain = normalise(text)
    return frozenset(plain[i : i + PIECE] for i in range(max(1, len(plain) - PIECE + 1)))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard: what is in both, of what is in either."""
    return len(one & other) / len(one | other)


def _root(parents: list[int], i: int) -> int:
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


def _join(parents: list[int], i: int, j: int) -> None:
    one, other = _root(parents, i), _root(parents, j)
    parents[max(one, other)] = min(one, other)
