"""Whose turn an item is: of the queue, or one that other reviewers have labelled already.

>>> shared({("ann", "1", "card"), ("bob", "1", "card"), ("ann", "2", "loan")}, "carl", {"1"})
['2']
>>> picks = [next_id(["new"], ["old"], "carl", 0.1, turn) for turn in range(1_000)]
>>> picks.count("old")
102
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from deploy.operator.review.overlap import Labelled
from monitor.selection.audit import chosen


def places(labelled: Iterable[Labelled]) -> set[tuple[str, str]]:
    """Return who labelled which reply."""
    return {(by, id) for by, id, _ in labelled}


def shared(labelled: Collection[Labelled], by: str, answered: Collection[str]) -> list[str]:
    """Return the replies that others have labelled and this person has not: those with most labels first, whose answer
    is known soonest. `answered`: their spot checks."""
    count: dict[str, int] = {}
    for _, id, _ in labelled:
        count[id] = count.get(id, 0) + 1
    mine = {id for author, id in places(labelled) if author == by} | set(answered)
    return sorted((id for id in count if id not in mine), key=lambda id: (-count[id], id))


def next_id(waiting: Sequence[str], shared: Sequence[str], by: str, share: float, turn: int) -> str:
    """Return the item for this turn: a shared one where the hash of the person and of what they would see says so, so
    that asking again shows the same. Empty where nothing waits."""
    first = next(iter(waiting), "")
    drawn = shared and chosen(f"{by}/{first}/{turn}", share)
    return shared[0] if drawn else first
