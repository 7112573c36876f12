"""Spans of event time for which a whylogs profile is kept, and where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote


class Span(NamedTuple):
    """What one profile is about."""

    alias: str
    version: str
    start_ms: int


def folder(root: Path, span: Span) -> Path:
    """Where the profiles of a span lie, one file a partition.

    >>> str(folder(Path("var/profiles"), Span("support", "support-0123456789ab", 0)))
    'var/profiles/support/version=support-0123456789ab/0'
    """
    return root / span.alias / f"version={quote(span.version, safe='')}" / str(span.start_ms)


def start(time_ms: int, width_ms: int) -> int:
    """When the span that holds this time begins.

    >>> start(7_250_000, 3_600_000)
    7200000
    """
    return time_ms - time_ms % width_ms
