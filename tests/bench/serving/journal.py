"""What capture costs: `python -m tests.bench.serving.journal`.

The gateway's side, an append to the journal; and the shipper's, from the journal to a Kafka of this run's own. Prints a
table and writes `var/bench/journal.json`.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil

from deploy.stack import ports
from deploy.stack.kafka import EmbeddedKafka
from deploy.stack.settings import cache_folder
from deploy.stack.topics import create_topics
from streams import codec
from streams.events import InferenceServed
from streams.journal.reader import waiting_bytes
from streams.journal.shipper import Shipper, ShipperSettings
from streams.journal.writer import Fsync, Journal, JournalSettings
from streams.kinds import Arm
from streams.log.settings import KafkaSettings
from streams.messages import Message
from streams.topics import INFERENCE
from tests.bench.tools.figures import Figure, tell
from tests.bench.tools.usage import usage

OUT = Path("var/bench/journal.json")
START_MS = 1_750_000_000_000
EVENTS = 20_000
RATE, SECONDS = 2_000, 10
BACKLOG = 50_000


@cache
def words() -> list[str]:
    """Something people wrote, for what compresses as it does."""
    return Path("README.md").read_text().split()


def event(number: int) -> InferenceServed:
    """About 1 KB, as JSON."""
    asked = " ".join(random.Random(number).choices(words(), k=60))
    return InferenceServed(
        id=f"01975f3e-{number % 2**16:04x}-7000-8000-{number:012x}",
        time_ms=START_MS + number,
        alias="support",
        version="support-0123456789ab",
        replica="replica-1",
        arm=Arm.CHAMPION,
        operation="chat",
        client="default/0123456789ab",
        input_messages=[Message("system", "Name the intent. " * 8), Message("user", asked)],
        output="card_arrival",
        input_tokens=160,
        output_tokens=3,
        ttft_ms=20.125,
        tpot_ms=5.25,
        latency_ms=41.5,
        finish_reason="stop",
        logprob_mean=-0.25,
        logprob_min=-1.25,
        status=200,
        tags={"tenant": "acme", "language": "en"},
    )


def publishing(fsync: Fsync, events: int) -> float:
    """Microseconds for one event, the median of runs of a hundred."""
    made = [event(number) for number in range(events)]
    with tempfile.TemporaryDirectory(dir="var") as folder:
        journal = Journal(Path(folder), JournalSettings(fsync=fsync), "gateway/bench")
        runs = []
        for first in range(0, events, 100):
            began = time.perf_counter()
            for each in made[first : first + 100]:
                journal.publish(INFERENCE, each, each.id, each.time_ms)
            runs.append(time.perf_counter() - began)
        journal.close()
    return statistics.median(runs) * 1e4


def write(folder: Path, rate: float, events: int) -> None:
    """Publishes at a steady rate."""
    journal = Journal(folder, JournalSettings(), "gateway/bench")
    began = time.perf_counter()
    for number in range(events):
        time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        each = event(number)
        journal.publish(INFERENCE, each, each.id, each.time_ms)
    journal.close()


def ship(bootstrap: str, folder: Path) -> None:
    """Ships until standard input ends."""
    stop = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    Shipper(KafkaSettings(bootstrap), folder, "gateway/bench").run(stop)


@contextmanager
def shipper(kafka: KafkaSettings, folder: Path) -> Iterator[psutil.Process]:
    """In a process of its own."""
    child = subprocess.Popen([sys.executable, "-m", __spec__.name, "ship", kafka.bootstrap, str(folder)], stdin=-1)
    try:
        yield psutil.Process(child.pid)
    finally:
        child.communicate(timeout=30)


def drained(folder: Path) -> float:
    """When nothing waited any more."""
    while waiting_bytes(folder):
        time.sleep(0.005)
    return time.monotonic()


def steady(kafka: KafkaSettings, folder: Path) -> list[Figure]:
    """The shipper's CPU per event at a steady rate, and how long events wait once the last one is written."""
    with shipper(kafka, folder) as process:
        write(folder, RATE, RATE)  # until everything is connected and warm
        drained(folder)
        time.sleep(1.0)
        idle_from = usage(process).cpu_s
        time.sleep(3.0)
        began = usage(process).cpu_s
        write(folder, RATE, RATE * SECONDS)
        written = time.monotonic()
        behind_s = drained(folder) - written
        took = usage(process)
    return [
        Figure(
            f"shipper, at {RATE:,} events/s",
            (took.cpu_s - began) / RATE / SECONDS * 1e6,
            "us/event",
            80,
            peer="publisher thread in the gateway",
            peer_value=212,
        ),
        Figure("shipper, idle", (began - idle_from) / 3 * 100, "% of CPU", 1),
        Figure("last event written to confirmed", behind_s * 1e3, "ms", ShipperSettings().linger_s * 1e3 + 250),
        Figure("shipper, resident", took.mib, "MiB", 96),
    ]


def backlog(kafka: KafkaSettings, folder: Path) -> list[Figure]:
    """How fast a backlog goes, from the first confirmation on."""
    write(folder, 1e9, BACKLOG)
    waiting = waiting_bytes(folder)
    with shipper(kafka, folder):
        while (left := waiting_bytes(folder)) == waiting:
            time.sleep(0.005)
        began = time.monotonic()
        took = drained(folder) - began
    return [Figure("backlog shipped", BACKLOG * left / waiting / took, "events/s", 2 * RATE, "higher")]


def main() -> None:
    Path("var").mkdir(exist_ok=True)
    size = len(codec.encode(event(1)))
    figures = [
        Figure(f"publish, fsync {mode}", publishing(mode, count), "us", goal, note=f"{size} bytes of JSON")
        for mode, count, goal in ((Fsync.INTERVAL, EVENTS, 15), (Fsync.NEVER, EVENTS, 15), (Fsync.ALWAYS, 500, None))
    ]
    with tempfile.TemporaryDirectory(dir="var") as name:
        folder = Path(name)
        broker = EmbeddedKafka(folder / "kafka", ports.free(1)[0], cache_folder())
        broker.start()
        try:
            create_topics(broker.settings)
            figures += steady(broker.settings, folder / "steady")
            figures += backlog(broker.settings, folder / "backlog")
        finally:
            broker.stop()
    tell(figures, OUT)


if __name__ == "__main__":
    if sys.argv[1:2] == ["ship"]:
        ship(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
