"""How long a commit takes, on a folder and on S3 (moto, which is slow), and what a thousand aliases cost."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from unittest import mock

from streams.lake.lake import Lake
from streams.lake.writer import LakeWriter
from streams.topics import INFERENCE
from tests.bench.storage.traffic import Traffic
from tests.bench.tools.figures import Figure
from tests.bench.tools.scratch import scratch
from tests.support.s3 import BUCKET, KEYS, server

COMMITS = 100
ROWS = 2_000


def measured(quick: bool) -> list[Figure]:
    """Medians, and the longest."""
    commits = COMMITS // 10 if quick else COMMITS
    with scratch("commits") as root, server() as s3, mock.patch.dict(os.environ, KEYS):
        places = {"a folder": Lake(str(root / "lake")), "S3": Lake(f"s3://{BUCKET}/bench", s3.options)}
        figures = [figure for name, lake in places.items() for figure in _commits(name, lake, commits)]
        return [*figures, *_aliases(root, commits)]


def _commits(name: str, lake: Lake, commits: int) -> list[Figure]:
    taken = _taken(lake, Traffic(1, 1.0), commits)
    return [
        Figure(f"a commit of {ROWS:,} rows on {name}, half of them", 1_000 * statistics.median(taken), "ms"),
        Figure(f"a commit of {ROWS:,} rows on {name}, the longest", 1_000 * max(taken), "ms"),
    ]


def _taken(lake: Lake, traffic: Traffic, commits: int) -> list[float]:
    writer, taken = LakeWriter(lake, INFERENCE), list[float]()
    for _ in range(commits):
        for each in traffic.take(ROWS):
            writer.add(each)
        began = time.perf_counter()
        writer.commit()
        taken.append(time.perf_counter() - began)
    return taken


def _aliases(root: Path, commits: int) -> list[Figure]:
    """Processor time of writing, and of reading all rows again."""
    found = {}
    for aliases in (1, 1_000):
        lake, began = Lake(str(root / f"of-{aliases}")), time.process_time()
        _taken(lake, Traffic(aliases, 1.0), commits)
        assert sum(part.num_rows for part in lake.rows(INFERENCE)) == commits * ROWS
        found[aliases] = (time.process_time() - began) / (commits * ROWS)
    note = f"{1e6 * found[1]:.1f} us a row with one, {1e6 * found[1_000]:.1f} us"
    return [Figure("a row among 1,000 aliases over a row of one", found[1_000] / found[1], "", 2.0, note=note)]
