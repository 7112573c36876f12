"""A Kafka of this run's own, and workers that are watched through their metrics."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from deploy.stack import ports
from deploy.stack.kafka import EmbeddedKafka
from deploy.stack.settings import cache_folder
from deploy.stack.topics import create_topics
from monitor.settings import MonitorSettings, PolicySettings
from streams.log.settings import KafkaSettings
from streams.settings import WorkerSettings
from streams.topics import SCORES
from tests.bench.streams.events import pour
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.bench.tools.usage import MIB
from tests.streams.support.traffic import Plan, Process, within

LOOK_S = 0.25
CONSUMED = 'homeostat_events_consumed_total{topic="inference.events"}'
LAG, WAITING = "homeostat_consumer_lag_events{", "homeostat_scores_waiting_rows{"
TELLING = 4  # records that may be on their way: workers never cease to tell how far they are


class Worker:
    """A worker process of the group that all workers of a run are in."""

    def __init__(self, kafka: KafkaSettings, folder: Path, name: str) -> None:
        self._port = ports.free(1)[0]
        settings = WorkerSettings(app_id="bench", lag_every_s=LOOK_S)
        (folder / "log").mkdir(exist_ok=True)
        stored = within(folder)
        plan = Plan(kafka, settings, stored, MonitorSettings(), PolicySettings(), metrics_port=self._port)
        self.process = Process(plan, folder / "log" / f"{name}.log")

    def start(self) -> None:
        self.process.start()

    def total(self, name: str) -> float:
        """The sum of a metric over its labels; 0 while the worker does not answer. RuntimeError where it ended."""
        return _sum(self._metrics(), name)

    def idle(self) -> bool:
        """Whether nothing waits: no events, and of the scores only what workers tell each other all the time."""
        lines = self._metrics()
        taken_in = _sum(lines, LAG, 'topic="inference.') == 0
        return taken_in and _sum(lines, WAITING) == 0 and _sum(lines, LAG, SCORES.name) <= TELLING

    def cpu_s(self) -> float:
        """Of the process itself: reports of alarms are others' work."""
        return cpu_s(psutil.Process(self.process.pid))

    def mib(self) -> float:
        """What of it is in memory."""
        return float(psutil.Process(self.process.pid).memory_info().rss / MIB)

    def _metrics(self) -> list[str]:
        if self.process.ended:
            raise RuntimeError("the worker ended; see its log in var/bench/log/streams")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}", timeout=5) as answer:
                return list(answer.read().decode().splitlines())
        except OSError:
            return []


class Place:
    """One broker and a folder; `poured` events are in its log."""

    def __init__(self, kafka: KafkaSettings, folder: Path, broker: psutil.Process) -> None:
        self.kafka, self.folder, self.broker = kafka, folder, broker
        self.poured = 0

    def pour(self, events: int) -> None:
        """More replies."""
        note(f"sending {events:,} events")
        pour(self.kafka, range(self.poured, self.poured + events))
        self.poured += events

    @contextmanager
    def worker(self, *names: str) -> Iterator[list[Worker]]:
        """Workers under these names, not started yet; stopped afterwards."""
        workers = [Worker(self.kafka, self.folder, name) for name in names]
        try:
            yield workers
        finally:
            for each in workers:
                each.process.kill()


@contextmanager
def place() -> Iterator[Place]:
    """Everything in a folder of its own; gone afterwards, but for the logs."""
    with scratch("streams") as folder:
        broker = EmbeddedKafka(folder / "kafka", ports.free(1)[0], cache_folder())
        broker.start()
        try:
            create_topics(broker.settings)
            yield Place(broker.settings, folder, _java())
        finally:
            broker.stop()


def cpu_s(process: psutil.Process) -> float:
    """What the process has used so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def consumed(workers: Sequence[Worker]) -> float:
    """Replies handled by these processes."""
    return sum(each.total(CONSUMED) for each in workers)


def until(holds: Callable[[], bool], timeout_s: float = 900.0) -> float:
    """When it held, on the monotonic clock."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("the worker did not get there; see its log in var/bench/log/streams")
        time.sleep(LOOK_S)
    return time.monotonic()


def until_drained(workers: Sequence[Worker]) -> float:
    """When nothing waited any more in any topic, and nothing came for two seconds: the judge's state is confirmed."""
    still = 0
    first = time.monotonic()
    while still < 2.0 / LOOK_S:
        first = time.monotonic() if not still else first
        still = still + 1 if all(each.idle() for each in workers) else 0
        time.sleep(LOOK_S)
    return first


def _sum(lines: Sequence[str], name: str, having: str = "") -> float:
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name) and having in line)


def _java() -> psutil.Process:
    return next(each for each in psutil.Process().children() if "kafka.Kafka" in each.cmdline())
