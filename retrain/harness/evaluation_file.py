"""A file that a harness wrote, as its rows: what all formats have in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from monitor.canonical import UNREADABLE

T = TypeVar("T")
Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row of a file."""

    place: str  # file, and line, row or sample
    fields: Fields
    question: str = ""  # what tells the question from others, where the harness writes that down


@dataclass(frozen=True, slots=True)
class EvaluationFile:
    """A file's rows, what wrote it, and the names under which its scores may stand."""

    path: Path
    kind: str
    rows: list[FileRow]
    names: list[str]


def shaped(place: str, given: object, kind: type[T]) -> T:
    """Return what was read in its shape. Raise ValueError that names place, field and what was expected."""
    try:
        return msgspec.convert(given, kind)
    except UNREADABLE as error:
        raise ValueError(f"{place}: {error}") from error
