"""Synthetic rows added to a dataset: within their share, and none that resembles what is judged on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from retrain.data.classes import classes
from retrain.data.dataset import Dataset, apart, once, still_true
from retrain.data.example import Example
from retrain.data.likeness import Likeness
from retrain.data.rehearsal import balanced

JUDGED = "synthetic: made from a row that is judged on"
DOUBTED = "synthetic: made from a row in quarantine"
UNTAUGHT = "synthetic: its label is that of no real row that is trained on"
TWIN = "synthetic: twin of a real row"
OVER = "synthetic: over retrain.synthetic.max_share"


def most(real: int, share: float) -> int:
    """Return how many synthetic rows may join so many real ones.

    >>> most(30, 0.7), most(0, 0.7)
    (70, 0)
    """
    return math.floor(real * share / (1 - share) + 1e-9)


def blended(dataset: Dataset, made: Sequence[Example], share: float) -> Dataset:
    """Return the dataset with these synthetic rows, as far as they may be taught: none that was made from a row that is
    judged on or not believed, none that is like a row that is judged on or repeats a real one, none with a label that
    is stale, and at most `share` of all rows that are trained on. Labels that real rows lack come first."""
    dropped: Counter[str] = Counter()
    real, judged = dataset.real_lessons, [*dataset.validation, *dataset.regression]
    rows = _without(made, {row.id for row in judged}, JUDGED, dropped)
    rows = _without(rows, {row.id for row in dataset.quarantine}, DOUBTED, dropped)
    known = classes(Counter(row.label for row in real), {})
    taught = [row for row in rows if not known or row.label in known]
    dropped[UNTAUGHT] += len(rows) - len(taught)
    likeness = Likeness.of(real, judged)
    alone = [replace(row, conversation="") for row in once(taught, Counter())]  # its seed's: they are no one's turns
    twins = apart(alone, [*judged, *real], likeness, dropped, TWIN)
    kept = {row.id for row in still_true(twins, dataset.train, dropped, likeness)}
    rows, count = [row for row in taught if row.id in kept], most(len(real), share)
    dropped[OVER] += max(0, len(rows) - count)
    rows = balanced(rows, count, real, 1, likeness) if len(rows) > count else rows
    gone = Counter(dataset.dropped) + dropped
    return replace(dataset, synthetic=sorted(rows, key=lambda row: row.id), dropped=dict(gone))


def _without(rows: Sequence[Example], seeds: set[str], why: str, dropped: Counter[str]) -> list[Example]:
    kept = [row for row in rows if row.about not in seeds]
    dropped[why] += len(rows) - len(kept)
    return kept
