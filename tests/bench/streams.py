"""How fast the worker is, and how soon it works again after `kill -9`: `python -m tests.bench.streams`.

Starts a Kafka of its own, sends replies and labels, and reads the worker's own metrics. Prints a table and writes
`var/bench/streams.json`.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil

from deploy import ports
from deploy.cache import cache_folder
from deploy.kafka import EmbeddedKafka, create_topics
from monitor.settings import MonitorSettings, PolicySettings
from streams import codec
from streams.events import ScoreBatch
from streams.log import KafkaSettings, read, span
from streams.settings import WorkerSettings
from streams.state import pack
from streams.topics import FEEDBACK, INFERENCE, SCORES
from tests.bench.figures import Figure, tell
from tests.streams.oracle import remembered
from tests.streams.traffic import Plan, Process, feedback, produce, served

OUT = Path("var/bench/streams.json")
EVENTS = 20_000
ALIAS = "bench"


class Watched:
    """A worker process and its metrics."""

    def __init__(self, kafka: KafkaSettings, root: Path) -> None:
        self.settings = WorkerSettings(
            app_id="bench",
            lake=root / "lake",
            profiles=root / "profiles",
            reports=root / "reports",
            metrics_port=ports.free(1)[0],
            lag_every_s=0.25,
        )
        self.process = Process(Plan(kafka, self.settings, MonitorSettings(), PolicySettings()), root / "worker.log")

    def total(self, name: str) -> float:
        """The sum of a metric over its labels; 0 while the worker does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.settings.metrics_port}", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def until(self, holds: Callable[[], bool], timeout_s: float = 300.0) -> float:
        """When it held, on the monotonic clock."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError("the worker did not get there; see its log")
            time.sleep(0.05)
        return time.monotonic()


def consumed(worker: Watched) -> float:
    return worker.total("homeostat_events_consumed_total{")


def drained(worker: Watched) -> bool:
    return worker.total("homeostat_consumer_lag_events{") == 0


def throughput(kafka: KafkaSettings, worker: Watched) -> list[Figure]:
    """A backlog of replies, worked off from Kafka to lake, profiles, scores, and the judge's confirmed state."""
    produce(kafka, INFERENCE, [served(ALIAS, i) for i in range(EVENTS)])
    worker.process.start()
    began = worker.until(lambda: consumed(worker) > 0)
    before = consumed(worker)
    taken = worker.until(lambda: consumed(worker) >= EVENTS)
    done = worker.until(lambda: drained(worker))
    memory = max(p.memory_info().rss for p in psutil.Process().children() if "tests.streams.worker" in p.cmdline())
    return [
        Figure(
            "replies from Kafka to lake and scores", (EVENTS - before) / (taken - began), "events/s", 2_000, "higher"
        ),
        Figure(
            "and through the judge, state confirmed", (EVENTS - before) / (done - began), "events/s", 2_000, "higher"
        ),
        Figure("worker, resident", memory / 2**20, "MiB", 1_024, "lower"),
    ]


def labels(kafka: KafkaSettings, worker: Watched) -> list[Figure]:
    """A backlog of labels."""
    before = consumed(worker)
    began = time.monotonic()
    produce(kafka, FEEDBACK, [feedback(served(ALIAS, i), i % 10 != 0) for i in range(EVENTS // 2)])
    worker.until(lambda: consumed(worker) >= before + EVENTS // 2)
    done = worker.until(lambda: drained(worker))
    return [
        Figure("labels through the judge, sending included", EVENTS // 2 / (done - began), "events/s", 1_500, "higher")
    ]


def freshness(kafka: KafkaSettings) -> list[Figure]:
    """From a reply's record in Kafka to its scores' record, at 20 replies a second."""
    for i in range(100):
        produce(kafka, INFERENCE, [served(ALIAS, EVENTS + i)])
        time.sleep(0.05)
    time.sleep(2.0)
    written = {
        (raw.partition, raw.offset): raw.timestamp_ms
        for partition in range(INFERENCE.partitions)
        for raw in span(kafka, INFERENCE, partition)[-60:]
    }
    delays = [
        (record.timestamp_ms - written[place]) / 1_000
        for record in read(kafka, SCORES, ScoreBatch)
        if record.event.source_topic == INFERENCE.name
        for id, offset in zip(record.event.rows.ids, record.event.rows.offsets, strict=True)
        if (place := (record.event.partition, offset)) in written and id >= served(ALIAS, EVENTS).id
    ]
    p95 = statistics.quantiles(delays, n=20)[-1]
    return [Figure("reply to score at 20/s, 95 %", p95, "s", 1.0, "lower")]


def recovery(kafka: KafkaSettings, worker: Watched) -> list[Figure]:
    """From `kill -9` to the first reply handled by the next process."""
    times = []
    for i in range(3):
        worker.process.kill()
        produce(kafka, INFERENCE, [served(ALIAS, EVENTS + 1_000 + 100 * i + k) for k in range(100)])
        began = time.monotonic()
        worker.process.start()
        times.append(worker.until(lambda: consumed(worker) > 0) - began)
    return [Figure("kill -9 to the next reply handled", statistics.median(times), "s", 10.0, "lower", "app.Table", 6.5)]


def memory(kafka: KafkaSettings) -> list[Figure]:
    record = remembered(kafka, ALIAS)
    assert record is not None
    bare, _ = pack(record)
    whole = len(codec.encode(record)) / 1_024
    return [
        Figure(
            "state record, its reference kept apart",
            len(codec.encode(bare)) / 1_024,
            "KiB",
            256,
            "lower",
            "whole",
            whole,
        )
    ]


def measured(kafka: KafkaSettings, root: Path) -> list[Figure]:
    worker = Watched(kafka, root)
    try:
        figures = [*throughput(kafka, worker), *labels(kafka, worker), *memory(kafka)]
        return [*figures, *freshness(kafka), *recovery(kafka, worker)]
    finally:
        worker.process.kill()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="homeostat-bench-", ignore_cleanup_errors=True) as folder:
        broker = EmbeddedKafka(Path(folder) / "kafka", ports.free(1)[0], cache_folder())
        broker.start()
        try:
            create_topics(broker.settings)
            figures = measured(broker.settings, Path(folder))
        finally:
            broker.stop()
    figures = [replace(each, value=round(each.value, 2)) for each in figures]
    tell(figures, OUT)


if __name__ == "__main__":
    main()
