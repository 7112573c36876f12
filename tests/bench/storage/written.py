"""What the lake writes for what it keeps, at 10 and at 1,000 events/s, merges included. The clock is simulated: rows
are written as often as a worker would, and files merged as often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from streams.lake.compaction import compact
from streams.lake.lake import Lake
from streams.lake.writer import LakeWriter
from streams.objects.settings import StorageSettings
from streams.settings import WorkerSettings
from streams.topics import INFERENCE
from tests.bench.storage.traffic import BEGIN_MS, Traffic
from tests.bench.tools.figures import Figure
from tests.bench.tools.scratch import scratch

SETTINGS = WorkerSettings()
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Life:
    """A stretch of a lake's life, from the beginning of a day; the day is over after it."""

    events_s: int
    seconds: int


LIVES, QUICK = (Life(10, 2 * 3_600), Life(1_000, 1_200)), (Life(10, 1_800), Life(1_000, 60))
GOALS = {10: 6.0, 1_000: 5.0}
FILES = 500


def measured(quick: bool) -> list[Figure]:
    """Bytes written for one kept, and files a day."""
    return [figure for life in (QUICK if quick else LIVES) for figure in lived(life)]


def lived(life: Life) -> Sequence[Figure]:
    with scratch("written") as root:
        lake = Lake(str(root / "lake"))
        _live(lake, life)
        table = lake.table(INFERENCE)
        assert table is not None
        kept = sum(table.get_add_actions(flatten=True)["size_bytes"].to_pylist())
        files, left = len(table.file_uris()), _bytes(root)
        per_day = files * DAY_S / life.seconds
        name, note = f"at {life.events_s:,} events/s", f"{life.seconds / 3_600:g} simulated hours"
        return [
            Figure(f"bytes written for one kept, {name}", left / kept, "", GOALS[life.events_s], note=note),
            Figure(f"bytes kept of a reply of 1 KB, {name}", kept / (life.events_s * life.seconds), "bytes"),
            Figure(
                f"files a day after merging, {name}",
                per_day,
                "files",
                FILES if life.seconds >= 1_200 and life.events_s > 10 else None,
            ),
        ]


def _live(lake: Lake, life: Life) -> None:
    wait_s = min(SETTINGS.lake_commit_s, SETTINGS.lake_commit_rows / life.events_s)
    traffic, writer = Traffic(1, 1_000 / life.events_s), LakeWriter(lake, INFERENCE)
    day = datetime.fromtimestamp(BEGIN_MS / 1_000, UTC).date()
    merged_s = 0.0
    for number in range(round(life.seconds / wait_s)):
        for each in traffic.take(round(life.events_s * wait_s)):
            writer.add(each)
        writer.commit()
        if number * wait_s - merged_s >= StorageSettings().care_s:
            merged_s = number * wait_s
            compact(lake, day)
    compact(lake, day + timedelta(days=1))


def _bytes(folder: Path) -> int:
    """Nothing was deleted yet: this is all that was written."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
