"""Rows of the healthy time that are trained on again, so that what is new takes no old ability away: each subject as
often as any other, as far as there are rows. Of classes the subject is the class, of free text a cluster of like
requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from retrain.data.agreement.neighbours import vectors
from retrain.data.classes import classes
from retrain.data.example import Example, in_chance_order
from retrain.data.likeness import Likeness

ALIKE = 0.2  # likeness to a cluster's first request, for another one to belong to it
MOST_CLUSTERS = 100
SHARED = 2  # requests that have a piece, for it to be compared: what one alone has makes no subject


def balanced(
    rows: Sequence[Example], count: int, taught: Sequence[Example], passes: int, likeness: Likeness
) -> list[Example]:
    """Return at most `count` rows, so that together with the `taught` ones, which are seen `passes` times, each subject
    is as frequent as any other: what the taught rows lack is forgotten first."""
    ordered = in_chance_order(rows, "rehearsal")
    fresh = Counter(row.label for row in taught for _ in range(passes))
    known = classes(Counter(row.label for row in ordered), fresh)
    subjects = _subjects([*taught, *ordered], known, likeness)
    seen = Counter({subject: passes * n for subject, n in Counter(subjects[: len(taught)]).items()})
    return [row for _, row in sorted(_places(ordered, subjects[len(taught) :], seen), key=lambda each: each[0])[:count]]


def _places(rows: Sequence[Example], subjects: Sequence[str], seen: Mapping[str, int]) -> list[tuple[int, Example]]:
    """Return each row with the number of rows of its subject that come before it, the seen ones included."""
    before, found = Counter(seen), []
    for row, subject in zip(rows, subjects, strict=True):
        found.append((before[subject], row))
        before[subject] += 1
    return found


def _subjects(rows: Sequence[Example], known: frozenset[str], likeness: Likeness) -> list[str]:
    """Return each row's subject: its class, else the cluster of its request."""
    places = [place for place, row in enumerate(rows) if row.label not in known]
    found = [f"class {row.label}" for row in rows]
    for place, number in zip(places, clusters([rows[place] for place in places], likeness), strict=True):
        found[place] = f"cluster {number}"
    return found


def clusters(rows: Sequence[Example], likeness: Likeness) -> list[int]:
    """Return the number of each row's cluster. A request joins the cluster whose first request it is most like; one
    that is like none begins another, until there are many: then it joins the nearest all the same."""
    if not rows:
        return []
    found, leaders = vectors(rows, likeness, SHARED), list[int]()
    numbers = list[int]()
    columns = None
    for place in range(len(rows)):
        near = (found[place] @ columns).toarray()[0] if columns is not None else np.zeros(0)
        best = int(near.argmax()) if near.size else -1
        if best < 0 or (near[best] < ALIKE and len(leaders) < MOST_CLUSTERS):
            leaders.append(place)
            columns, best = found[leaders].T.tocsr(), len(leaders) - 1
        numbers.append(best)
    return numbers
