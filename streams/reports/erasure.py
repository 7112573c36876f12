"""Alarms' pages that show replies of an erased person: found by their examples, and deleted.

A worker that starts, or is given a partition, makes a missing page again from the lake, which has no such replies
then, while the log still has the alarm."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import suppress

import msgspec

from monitor.canonical import UNREADABLE
from streams.objects.store import ObjectStore
from streams.reports.keys import EXAMPLES, PAGE, REPORTS, SNAPSHOT, keys
from streams.reports.page import ReportExample

LEFTOVER_S = 86_400.0  # after which a half-written file is a killed writer's

_examples = msgspec.json.Decoder(ReportExample)


def showing(store: ObjectStore, replies: Container[str]) -> Iterator[str]:
    """Yield the alarms whose page shows one of these replies. One whose examples are missing or unreadable counts."""
    there = list(store.list(REPORTS))
    parts = (EXAMPLES, SNAPSHOT, PAGE)
    for alarm in sorted({key.removesuffix(part) for key in there for part in parts if key.endswith(part)}):
        if alarm + EXAMPLES not in there or _shows(store.get(alarm + EXAMPLES).data, replies):
            yield alarm.removeprefix(f"{REPORTS}/")


def delete(store: ObjectStore, alarm: str) -> None:
    """Delete the alarm's page and all that belongs to it; it may be killed at any point and done again."""
    for key in reversed(keys(alarm)):  # the examples last: they tell whose page it is
        store.delete(key)


def sweep(store: ObjectStore, now_s: float) -> None:
    """Remove from a folder what killed writers of pages left there a day ago or earlier; a bucket has no half."""
    if store.folder is not None:
        for part in (store.folder / REPORTS).glob(".*.part"):
            with suppress(FileNotFoundError):  # removed by another
                if part.stat().st_mtime < now_s - LEFTOVER_S:
                    part.unlink()


def _shows(lines: bytes, replies: Container[str]) -> bool:
    try:
        return any(example.id in replies for example in _examples.decode_lines(lines))
    except UNREADABLE:
        return True
