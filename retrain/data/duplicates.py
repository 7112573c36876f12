"""Near duplicates: found by MinHash, confirmed by the real overlap of the texts' pieces.

Broder 1997, "On the resemblance and containment of documents"; the sketches are datasketch's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from monitor.metrics import normalise

PIECE = 4  # characters
ALIKE = 0.7  # Jaccard similarity of the pieces
BANDS, WIDTH = 25, 5  # of a sketch: of pairs just alike enough 99 in 100 share a band, and are compared


def clusters(*views: Sequence[str | None], shared: Set[str] = frozenset(), named: Sequence[str] = ()) -> list[int]:
    """Return the number of each row's cluster: the index of the cluster's first row. Near duplicates, and near
    duplicates of these, share a cluster. Each view has a text for each row, or None where it does not compare the row;
    rows that are alike in one view are alike. Pieces that nearly all rows share (`shared`) are not compared, unless a
    text has no others. Rows that share a name (`named`, not empty) share a cluster.

    >>> clusters(["Where is my new card?", "where is my new card", "I lost my phone"])
    [0, 0, 2]
    """
    parents = list(range(len(views[0])))
    first: dict[str, int] = {}
    for i, name in enumerate(named):
        if name:
            _join(parents, first.setdefault(name, i), i)
    for view in views:
        sets = {i: pieces(text) for i, text in enumerate(view) if text is not None}
        _join_alike(parents, {i: each - shared or each for i, each in sets.items()})
    return [_root(parents, i) for i in range(len(parents))]


def pieces(text: str) -> frozenset[str]:
    """Return all runs of four characters of the normalised text; the text itself where it is shorter."""
    plain = normalise(text)
    return frozenset(plain[i : i + PIECE] for i in range(max(1, len(plain) - PIECE + 1)))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the Jaccard similarity: the pieces in both, as a share of those in either."""
    return len(one & other) / len(one | other)


def _join_alike(parents: list[int], sets: Mapping[int, frozenset[str]]) -> None:
    """Join rows that are alike. Rows of one cluster are not compared again, so that a large cluster costs little."""
    from datasketch import MinHash, MinHashLSH

    size = BANDS * WIDTH
    index = MinHashLSH(num_perm=size, params=(BANDS, WIDTH))
    sketches = MinHash.generator([[p.encode() for p in each] for each in sets.values()], num_perm=size, seed=1)
    for i, sketch in zip(sets, sketches, strict=True):
        for j in index.query(sketch):
            if _root(parents, i) != _root(parents, j) and similarity(sets[i], sets[j]) >= ALIKE:
                _join(parents, i, j)
        index.insert(i, sketch)


def _root(parents: list[int], i: int) -> int:
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


def _join(parents: list[int], i: int, j: int) -> None:
    one, other = _root(parents, i), _root(parents, j)
    parents[max(one, other)] = min(one, other)
