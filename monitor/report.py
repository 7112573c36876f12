"""Evidence for a human: an Evidently report of what moved between the reference and now. It raises no alarms."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

Rows = Sequence[Sequence[float]]


def write(names: Sequence[str], reference: Rows, current: Rows, path: Path) -> Path:
    """Writes an HTML page that compares two sets of descriptor rows; a reader sees all of it or nothing.

    Takes about 3 s the first time (Evidently's import). Raises ValueError where a side has no rows."""
    for side, rows in (("reference", reference), ("current", current)):
        if not len(rows):
            raise ValueError(f"{side} has no rows, expected at least one")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        _snapshot(list(names), reference, current).save_html(str(part))
    part.replace(path)
    return path


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
