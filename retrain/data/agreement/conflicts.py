"""One question, answered differently: most people's answer stands, and where no answer has most, none does."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from msgspec.structs import replace

from retrain.data.example import Example
from retrain.data.likeness import Likeness

OUTVOTED = "most people answer this question otherwise"
DIVIDED = "people answer this question differently, and no answer has most of them"
OVERRULED = "a reviewer or a downstream system answers this question otherwise"


def conflicts(rows: Sequence[Example], likeness: Likeness) -> list[Example]:
    """Return the rows that another answer to the same question keeps out, each with the reason. Questions are the same
    to the letter, but for a template that nearly all requests have. Each person counts once, with the newest answer;
    those with the authority to review overrule all others."""
    asked: defaultdict[str, list[Example]] = defaultdict(list)
    for row, question in zip(rows, likeness.questions(rows), strict=True):
        asked[question].append(row)
    return [found for same in asked.values() if len({row.label for row in same}) > 1 for found in _conflict(same)]


def _conflict(same: Sequence[Example]) -> list[Example]:
    reviewed = [row for row in same if row.reviewed]
    votes = Counter(_newest(reviewed or same).values())
    (label, most), *rest = votes.most_common()
    if most <= sum(count for _, count in rest):
        return [replace(row, quarantined=DIVIDED) for row in same]
    why = OVERRULED if reviewed else OUTVOTED
    return [replace(row, quarantined=why) for row in same if row.label != label and _other(row, same, label)]


def _other(row: Example, same: Sequence[Example], label: str) -> bool:
    """Return whether the row is no earlier answer of one who gives the label that stands: that is replaced, not
    disputed."""
    newest = _newest([each for each in same if each.labeller == row.labeller])
    return newest[row.labeller] != label


def _newest(rows: Sequence[Example]) -> dict[str, str]:
    """Return each person's newest answer."""
    return {row.labeller: row.label for row in sorted(rows, key=lambda row: (row.time_ms, row.id))}
