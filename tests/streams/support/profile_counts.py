"""How many rows a whylogs profile has taken."""

from __future__ import annotations

from whylogs.core import DatasetProfileView


def count(view: DatasetProfileView, name: str) -> int:
    """Return how many rows of the column `name` the profile has taken."""
    column = view.get_column(name)
    return int(column.get_metric("counts").n.value) if column else 0
