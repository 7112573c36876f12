"""The lake's doors on a million replies: rows by their ids, a day of one alias among 50, labelled rows.
The last in a process of its own, so that its peak memory is its own: `python -m tests.bench.storage.doors FOLDER`."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from streams.events import FeedbackGiven
from streams.kinds import Arm
from streams.lake.compaction import compact
from streams.lake.lake import Lake
from streams.lake.writer import LakeWriter
from streams.topics import FEEDBACK, INFERENCE
from tests.bench.storage.traffic import BEGIN_MS, DAY_MS, Traffic
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.streams.support.lakes import put

REPLIES, DAYS, LABELS, ALIASES, TOGETHER = 1_000_000, 10, 4_000, 50, 20_000
ALIAS = "alias-0007"
MIB = 1_048_576


def measured(quick: bool) -> list[Figure]:
    """Times and memory of reading few rows of many."""
    replies = REPLIES // 10 if quick else REPLIES
    with scratch("doors") as root:
        lake = Lake(str(root / "lake"))
        note(f"making {replies:,} replies")
        fill(lake, replies)
        wanted = random.Random(1).sample(_ids(lake, None), 1_000)
        mine = _ids(lake, ALIAS)
        labelled = label(lake, random.Random(2).sample(mine, min(LABELS, len(mine))))
        since_ms = BEGIN_MS + 3 * DAY_MS
        by_ids_s, found = _timed(lambda: sum(part.num_rows for part in lake.by_ids(INFERENCE, wanted)))
        day_s, day = _timed(lambda: _rows(lake, since_ms))
        taken = json.loads(subprocess.check_output([sys.executable, "-m", "tests.bench.storage.doors", lake.url]))
        assert (found, taken["rows"]) == (1_000, labelled)
        return [
            Figure(f"by_ids of 1,000 among {replies:,}", by_ids_s, "s", 2.0),
            Figure(f"rows of a day of one alias among {ALIASES}", day_s, "s", 3.0, note=f"{day} rows"),
            Figure(f"{labelled:,} labelled rows of {replies:,} for a retraining", taken["seconds"], "s", 60.0),
            Figure("memory that they take, with the libraries", taken["peak_mib"], "MiB", 1_024.0),
        ]


def fill(lake: Lake, replies: int) -> None:
    """Ten days, of which each was merged."""
    traffic, writer = Traffic(ALIASES, DAYS * DAY_MS / replies), LakeWriter(lake, INFERENCE)
    for _ in range(0, replies, TOGETHER):
        for each in traffic.take(TOGETHER):
            writer.add(each)
        writer.commit()
    compact(lake, datetime.fromtimestamp(BEGIN_MS / 1_000, UTC).date() + timedelta(days=2 * DAYS))


def label(lake: Lake, ids: list[str]) -> int:
    """A label for each of these replies; return how many."""
    about = pa.concat_tables(lake.by_ids(INFERENCE, ids, columns=("id", "time_ms"))).to_pylist()
    said = [
        FeedbackGiven(
            id=f"label-{row['id']}",
            event_id=row["id"],
            time_ms=row["time_ms"] + 1_000,
            alias=ALIAS,
            version="v",
            arm=Arm.CHAMPION,
            by="client",
            label="card",
            loss=1.0,
        )
        for row in about
    ]
    put(lake, FEEDBACK, said)
    return len(about)


def _ids(lake: Lake, alias: str | None) -> list[str]:
    return sorted(id for part in lake.rows(INFERENCE, alias=alias, columns=("id",)) for id in part["id"].to_pylist())


def _rows(lake: Lake, since_ms: int) -> int:
    return sum(
        part.num_rows for part in lake.rows(INFERENCE, alias=ALIAS, since_ms=since_ms, until_ms=since_ms + DAY_MS)
    )


def _timed(work: Callable[[], int]) -> tuple[float, int]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def main(folder: Path) -> None:
    """Print what labelled rows took, as JSON."""
    from retrain.data import labelled_rows

    taken_s, rows = _timed(lambda: len(labelled_rows.healthy(Lake(str(folder)), ALIAS, BEGIN_MS + 10**12)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024 / MIB
    print(json.dumps({"seconds": taken_s, "rows": rows, "peak_mib": peak}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
