"""Whose turn an item is: of the queue, or one that other reviewers have labelled already.

>>> shared({("ann", "1", "card"), ("bob", "1", "card"), ("ann", "2", "loan")}, {"3"})
['1', '2']
>>> picks = [next_id(["new"], ["old"], 0.1, f"carl/{turn}") for turn in range(1_000)]
>>> picks.count("old")
93
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from deploy.operator.review.overlap import Labelled
from monitor.selection.audit import chosen


def shared(labelled: Collection[Labelled], mine: Collection[str]) -> list[str]:
    """Return the replies that others have labelled and this person has not (`mine`): those with most labels first,
    whose answer is known soonest."""
    count = Counter(id for _, id, _ in labelled if id not in mine)
    return sorted(count, key=lambda id: (-count[id], id))


def next_id(waiting: Sequence[str], shared: Sequence[str], share: float, turn: str) -> str:
    """Return the item of a turn, which names the person and how much they have answered: one of the shared ones where a
    hash of it says so, so that asking again shows the same. Empty where nothing waits."""
    first = next(iter(waiting), "")
    return shared[0] if first and shared and chosen(f"{turn}/{first}", share) else first
