"""Evidence for a human: an Evidently report of what moved between the reference and now. It raises no alarms."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Rows = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The HTML page, and the snapshot that Evidently's own tools load."""

    page: bytes
    snapshot: bytes


def compare(names: Sequence[str], reference: Rows, current: Rows, top: str = "") -> Comparison:
    """Compare two sets of descriptor rows; the page begins with the HTML `top`.

    Takes about 3 s the first time (Evidently's import). Raises ValueError where a side has no rows."""
    for side, rows in (("reference", reference), ("current", current)):
        if not len(rows):
            raise ValueError(f"{side} has no rows, expected at least one")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        snapshot = _snapshot(list(names), reference, current)
        page, data = snapshot.get_html_str(as_iframe=False), snapshot.dumps()
    return Comparison(page.replace("<body>", f"<body>{top}", 1).encode(), data.encode())


def _snapshot(names: list[str], reference: Rows, current: Rows) -> Any:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=names)
    before, now = (
        Dataset.from_pandas(pd.DataFrame(np.asarray(rows, dtype=np.float64), columns=names), data_definition=definition)
        for rows in (reference, current)
    )
    return Report([DataDriftPreset()]).run(now, before)
