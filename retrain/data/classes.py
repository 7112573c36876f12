"""Classes: answers that many rows share. Free text is no class, and the questions of a refusal have nothing in common
but the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retrain.data.duplicates import pieces, similarity
from retrain.data.example import Example, in_chance_order
from retrain.data.likeness import Likeness

REPEATS = 3  # rows with one answer, for it to be a class
ROWS = 5  # at least, to compare a class's questions
COMPARED = 200  # at most
OWN = 2 / 3  # of a class's questions, at least, are more like each other than like any others


def classes(labels: Mapping[str, int], taught: Mapping[str, int]) -> frozenset[str]:
    """Return the answers that are classes. `labels`, `taught`: rows by answer, here and among those taught already.
    Empty where most rows have an answer of their own: then the answers are free text.

    >>> classes({"refund": 40, "late": 9, "lost": 1}, {}) == {"refund", "late"}
    True
    >>> classes({"refund": 4, "Your parcel is on its way.": 1, "It was sent today.": 1, "No.": 1, "Yes.": 2}, {})
    frozenset()
    """
    found = frozenset(label for label, count in labels.items() if count + taught.get(label, 0) >= REPEATS)
    return found if 2 * sum(labels[label] for label in found) >= sum(labels.values()) else frozenset()


def holds_together(rows: Sequence[Example], label: str, healthy: Sequence[Example], likeness: Likeness) -> bool:
    """Check that the rows ask what the label's healthy rows ask. These must be more like each other than like other
    rows: refusals and "none of these" answer questions of all kinds, and every question is about as like those."""
    known = _sets([row for row in healthy if row.label == label], likeness)
    others = _sets(in_chance_order((row for row in healthy if row.label != label), "others"), likeness)[: len(known)]
    if len(known) < ROWS:
        return False
    asked = _sets(rows, likeness)
    own = sorted(_nearest(each, known) for each in known)
    theirs = sorted(_nearest(each, known) for each in asked)
    if theirs[len(theirs) // 2] < own[len(own) // 4]:
        return False
    return len(others) < ROWS or min(_nearer(known, known, others), _nearer(asked, known, others)) >= OWN


def _sets(rows: Sequence[Example], likeness: Likeness) -> list[frozenset[str]]:
    return [pieces(likeness.differing(row)) for row in rows[:COMPARED]]


def _nearest(one: frozenset[str], among: Sequence[frozenset[str]]) -> float:
    return max((similarity(one, other) for other in among if other is not one), default=0.0)


def _nearer(
    asked: Sequence[frozenset[str]], known: Sequence[frozenset[str]], others: Sequence[frozenset[str]]
) -> float:
    """Return the share of the questions that are more like one of the known than like any other."""
    return sum(_nearest(each, known) > _nearest(each, others) for each in asked) / len(asked)
