"""The demo's data: `before.jsonl` and `after.jsonl` of a folder, or the demo's own world."""

from __future__ import annotations

from pathlib import Path

from deploy.demo.shares import MIN_AFTER, MIN_BEFORE
from deploy.demo.world.world import Shift, world
from deploy.operator.rows import DataError, LabelledRow, read_file


def load(
    folder: Path | None, seed: int, shift: Shift, size: str = "full"
) -> tuple[list[LabelledRow], list[LabelledRow]]:
    """Return the rows before and after the shift: the folder's, or, where there is none, those of the demo's own
    world. Raise DataError."""
    return world(seed, shift, size) if folder is None else read(folder)


def read(
    folder: Path, least_before: int = MIN_BEFORE, least_after: int = MIN_AFTER
) -> tuple[list[LabelledRow], list[LabelledRow]]:
    """Return the rows before and after the shift, in file order. Raise DataError."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(folder, [f"{what}; expected a folder with before.jsonl and after.jsonl"])
    return (
        read_file(folder / "before.jsonl", least_before),
        read_file(folder / "after.jsonl", least_after),
    )
