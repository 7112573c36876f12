"""How fast recorded history is replayed, and in how much memory: `python -m tests.bench.monitor.backtest`.

A lake of 100,000 events in three partitions (a label on three replies in ten), with harm in its last tenth. Time is
this process's CPU time: reading, scoring, one judge for each policy, and the measures. Prints a table and writes
`var/bench/backtest.json`.
"""

from __future__ import annotations

import random
import resource
import tempfile
import time
from pathlib import Path

import psutil

from deploy.backtest.policies import PRESENT, Policy, PolicySections
from deploy.backtest.report import BacktestReport
from deploy.backtest.run import BacktestOptions, choose, run
from monitor.settings import MonitorSettings, PolicySettings
from streams.ingest.prepare import GIVEN, SERVED
from streams.lake.delta import FOLDERS
from streams.lake.history import Stretch, read
from streams.topics import INFERENCE
from tests.bench.tools.figures import Figure, tell
from tests.streams.support.lakes import at, put
from tests.streams.support.traffic import feedback, served

OUT = Path("var/bench/backtest.json")
EVENTS, LABELLED, PARTITIONS, BLOCK = 100_000, 0.3, 3, 2_000
EAGER = [PolicySettings(min_fresh_labels=count) for count in (20, 60)]
POLICIES = [
    Policy(PRESENT, PolicySections()),
    *(Policy("eager", PolicySections(MonitorSettings(), each)) for each in EAGER),
]
MIB = 1_048_576


def fill(root: Path, replies: int) -> None:
    """Block by block, so that this is not what takes the memory."""
    rng, counts = random.Random(0), {source.name: [0] * PARTITIONS for source in (SERVED, GIVEN)}
    for first in range(0, replies, BLOCK):
        some = [served("support", i) for i in range(first, min(first + BLOCK, replies))]
        right = [rng.random() < (0.95 if first + i < 0.9 * replies else 0.6) for i in range(len(some))]
        labels = [feedback(each, ok) for each, ok in zip(some, right, strict=True) if rng.random() < LABELLED]
        for source, events in ((SERVED, some), (GIVEN, labels)):
            for partition in range(PARTITIONS):
                mine = events[partition::PARTITIONS]
                begin = counts[source.name][partition]
                counts[source.name][partition] += len(mine)
                put(root, source.topic, mine, partition, begin)


def replayed(root: Path, policies: int) -> tuple[BacktestReport, float]:
    """The comparison, and events for a second of CPU time."""
    began = time.process_time()
    options, extent = choose(BacktestOptions(at(root), POLICIES[:policies], Stretch()))
    report, _ = run(options, extent)
    return report, extent.events / (time.process_time() - began)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024


def measured(root: Path) -> list[Figure]:
    replies = round(EVENTS / (1 + LABELLED))
    fill(root, replies)
    began = time.process_time()
    count = sum(len(slice.replies) + len(slice.labels) for slice in read(at(root), Stretch()))
    reading = count / (time.process_time() - began)
    before = psutil.Process().memory_info().rss / MIB
    report, one = replayed(root, 1)
    _, three = replayed(root, len(POLICIES))
    more = peak_mib() - before
    stored = sum(path.stat().st_size for path in (root / FOLDERS[INFERENCE.name]).rglob("*.parquet")) / MIB
    (harm,) = report.harms
    late_s = abs(harm.onset_ms - served("support", round(0.9 * replies)).time_ms) / 1_000
    return [
        Figure("history read in order, nothing judged", reading, "events/s"),
        Figure("history past one policy", one, "events/s"),
        Figure("history past three policies at once", three, "events/s"),
        Figure(
            "more memory for a history of 100,000 events", more, "MiB", note=f"the replies' files: {stored:.0f} MiB"
        ),
        Figure("onset of harm, as labels show it afterwards, off by", late_s, "s"),
    ]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="homeostat-bench-") as folder:
        tell(measured(Path(folder)), OUT)


if __name__ == "__main__":
    main()
