"""One client of a hundred forgotten among 200,000 replies of ten days, while a writer commits: how long it takes, and
how often a deletion or a commit had to be tried again. The last day is under way: its files are not merged yet."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from msgspec.structs import replace

from streams.events import FeedbackGiven, InferenceServed
from streams.lake import erasure
from streams.lake.compaction import compact
from streams.lake.erasure import Persistence
from streams.lake.lake import Lake
from streams.lake.person import ErasedPerson
from streams.lake.table import events
from streams.lake.writer import LakeWriter, PartitionRows
from streams.topics import FEEDBACK, INFERENCE
from tests.bench.storage.traffic import BEGIN_MS, DAY_MS, Traffic
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.streams.support.lakes import put
from tests.streams.support.traffic import feedback

REPLIES, DAYS, TOGETHER, LABELLED = 200_000, 10, 2_000, 10
CLIENT = "client-7"  # of 97
PACES = ((0.05, 40), (5.0, 2_000))  # seconds between commits, rows in each


def measured(quick: bool) -> list[Figure]:
    """Seconds and repetitions, beside a writer of each pace."""
    return [figure for pace in PACES for figure in _forgotten(REPLIES // 10 if quick else REPLIES, *pace)]


class CountingWriter(LakeWriter):
    """A writer that counts its commits which were refused."""

    refused = 0

    def _write(self, table: DeltaTable, held: list[PartitionRows]) -> None:
        try:
            super()._write(table, held)
        except CommitFailedError:
            self.refused += 1
            raise


@dataclass(slots=True)
class SteadyWriter:
    """Commits so many rows every so many seconds."""

    writer: CountingWriter
    traffic: Traffic
    every_s: float
    rows: int
    commits: int = 0
    slowest_s: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        while not self.done.wait(self.every_s):
            for each in self.traffic.take(self.rows):
                self.writer.add(each)
            began = time.perf_counter()
            self.writer.commit()
            self.slowest_s = max(self.slowest_s, time.perf_counter() - began)
            self.commits += 1


@contextmanager
def working(steady: SteadyWriter) -> Iterator[None]:
    thread = threading.Thread(target=steady.work)
    thread.start()
    try:
        yield
    finally:
        steady.done.set()
        thread.join()


def _forgotten(replies: int, every_s: float, rows: int) -> list[Figure]:
    with scratch("forgetting") as root:
        lake, traffic = Lake(str(root / "lake")), Traffic(5, DAYS * DAY_MS / replies)
        note(f"making {replies:,} replies")
        until_ms = _fill(lake, traffic, replies)
        steady = SteadyWriter(CountingWriter(lake, INFERENCE), traffic, every_s, rows)
        missed: list[date] = []
        how = Persistence(missed=lambda topic, day: missed.append(day))
        with working(steady):
            steady.done.wait(2 * every_s)
            began = time.perf_counter()
            gone, left = _erase(lake, until_ms, how)
            took_s = time.perf_counter() - began
        assert left == 0
        assert not [*erasure.replies(lake, ErasedPerson.of("key", CLIENT), until_ms)]
        beside = f"a writer of {rows:,} rows every {every_s:g} s"
        return [
            Figure(f"{gone:,} of {replies:,} replies on {DAYS} days deleted beside {beside}", took_s, "s", 120.0),
            Figure("deletions tried again", float(len(missed)), ""),
            Figure(f"of {steady.commits} commits, tried again", float(steady.writer.refused), ""),
            Figure("slowest commit", steady.slowest_s, "s", 10.0),
        ]


def _fill(lake: Lake, traffic: Traffic, replies: int) -> int:
    """Fill all days but the last two per cent; every tenth reply has a label. Return the time at which that ends."""
    writer, labels = LakeWriter(lake, INFERENCE), list[FeedbackGiven]()
    filled = replies - replies // 50
    for _ in range(0, filled, TOGETHER):
        for each in traffic.take(TOGETHER):
            writer.add(each)
            labels += [feedback(event, True) for event in events(InferenceServed, each.rows[::LABELLED])]
        writer.commit()
    put(lake, FEEDBACK, [replace(label, id=f"label-{label.event_id}") for label in labels], together=TOGETHER)
    compact(lake, datetime.fromtimestamp((BEGIN_MS + (DAYS - 1) * DAY_MS) / 1_000, UTC).date())
    return int(BEGIN_MS + -(-filled // TOGETHER) * TOGETHER * DAYS * DAY_MS / replies) + 1


def _erase(lake: Lake, until_ms: int, how: Persistence) -> tuple[int, int]:
    """Return how many replies went, and how many days are left."""
    person = ErasedPerson.of("key", CLIENT)
    replies = erasure.replies(lake, person, until_ms)
    labels = erasure.labels(lake, person, {id for rows in replies.values() for id in rows.ids}, until_ms)
    done = [
        gone
        for topic, days in ((FEEDBACK, labels), (INFERENCE, replies))
        for _, gone in erasure.delete(lake, topic, days, how)
    ]
    return sum(len(rows.ids) for rows in replies.values()), done.count(False)
