"""A part of a dataset in numbers: its digest, and how many rows of which kind it has."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import msgspec

from monitor.metrics import normalise
from retrain.data.classes import classes
from retrain.data.example import Example


class DatasetPart(msgspec.Struct, frozen=True):
    """One part's digest and its rows, counted by source, label, group, client and by who chose and labelled them."""

    sha256: str
    rows: int
    sources: dict[str, int]
    labels: dict[str, int]  # none where answers are free text
    groups: dict[str, int]  # "tag=value"
    clients: int
    selections: dict[str, int] = {}  # who chose the replies for their labels
    reviewed: int = 0  # labelled by one who may overrule clients
    own_answers: int = 0  # the model's own answer was confirmed
    reasons: dict[str, int] = {}  # why labels are not believed


def counted(rows: Sequence[Example]) -> DatasetPart:
    """Return the digest and the counts of a part's rows."""
    content = hashlib.sha256(b"".join(msgspec.json.encode(row) + b"\n" for row in rows)).hexdigest()
    return DatasetPart(
        sha256=content,
        rows=len(rows),
        sources=dict(Counter(row.source for row in rows)),
        labels=_labels(rows),
        groups=dict(Counter(f"{tag}={value}" for row in rows for tag, value in row.tags.items())),
        clients=len({row.client for row in rows}),
        selections=dict(Counter(row.selection for row in rows if row.selection)),
        reviewed=sum(row.reviewed for row in rows),
        own_answers=sum(row.label == normalise(row.predicted) for row in rows if not row.unlabelled),
        reasons=dict(Counter(row.quarantined for row in rows if row.quarantined)),
    )


def _labels(rows: Sequence[Example]) -> dict[str, int]:
    counts = Counter(row.completion for row in rows if not row.unlabelled)
    return dict(counts) if classes(counts, {}) else {}
