"""A worker's loop over replies: scores, then the lake, then the acknowledgement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from streams.ingest.prepare import SERVED
from streams.judge.agent import JudgeAgent
from streams.lake import delta
from streams.lake.lake import Lake
from streams.log.chunks import Chunk
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from streams.settings import WorkerSettings
from streams.topics import INFERENCE, SCORES
from streams.worker.agents import ChunkBatch, IngestLoop, Worker
from streams.worker.lag import TopicPartition
from tests.streams.support.fakes import FakeLog, raws
from tests.streams.support.lakes import ids
from tests.streams.support.traffic import served, small, within
from tests.support.s3 import S3, SLOW_DOWN
from tests.support.waiting import PATIENCE_S

EVENTS = [served("support", i) for i in range(60)]
LOG = raws(EVENTS)
PLACE = TopicPartition(INFERENCE.name, 0)


class FakeApp:
    """Faust's part: chunks that may be committed, and the end."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.crashes: list[Exception] = []
        self.consumer = SimpleNamespace(done=lambda chunk: self.done.append(chunk.end), valid=lambda chunk: True)

    def topic(self, *names: str, **more: object) -> object:
        return names

    def agent(self, *given: object, **more: object) -> Callable[[Any], Any]:
        return lambda function: function

    async def crash(self, error: Exception) -> None:
        self.crashes.append(error)


def chunk(first: int, end: int) -> Chunk:
    return Chunk(INFERENCE.name, 0, first, end, LOG[first:end], end - first, 1)


class Scene:
    """A loop with a real lake, of whose worker the rest is missing."""

    def __init__(self, settings: WorkerSettings, storage: Storage) -> None:
        self.app, self.log, self.lake = FakeApp(), FakeLog(), Lake.of(storage)
        missing: Any = None
        judge: JudgeAgent = missing
        self.worker = Worker(self.app, [], judge, missing, missing)
        topics: Any = lambda topic: "an-id"  # noqa: E731
        self.loop = IngestLoop(self.worker, SERVED, KafkaSettings(), settings, storage, self.log, topics)

    async def take(self, first: int, end: int) -> None:
        """Take one chunk, and wait until it was sent."""
        await self.loop.take(ChunkBatch([chunk(first, end)], 0.0))
        await self.worker.sending[SERVED.name]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def rows(self) -> int:
        return sum(ids(self.lake, INFERENCE).values())


async def test_rows_of_several_batches_are_written_at_once_and_acknowledged_then(tmp_path: Path) -> None:
    scene = Scene(small("loop", lake_commit_rows=25, lake_commit_s=60.0), within(tmp_path))
    await scene.take(0, 10)
    await scene.take(10, 20)
    assert (len(scene.log.of(SCORES)), scene.rows(), scene.app.done) == (2, 0, [])
    assert scene.worker.done[PLACE] == 20, "the judge need not wait for the lake"
    assert scene.worker.unwritten[INFERENCE.name]() == LOG[0].timestamp_ms
    await scene.take(20, 30)
    assert (scene.rows(), scene.app.done) == (30, [10, 20, 30])
    assert scene.worker.unwritten[INFERENCE.name]() is None
    table = scene.lake.table(INFERENCE)
    assert table is not None
    assert table.version() == 1
    await scene.take(30, 40)
    await scene.worker.settling[0]()
    assert (scene.rows(), scene.app.done) == (40, [10, 20, 30, 40])


async def test_few_rows_wait_no_longer_than_they_may(tmp_path: Path) -> None:
    scene = Scene(small("loop", lake_commit_s=0.1), within(tmp_path))
    await scene.take(0, 10)
    assert scene.app.done == []
    await scene.until(lambda: scene.app.done == [10])
    assert scene.rows() == 10
    await scene.take(10, 20)
    await scene.until(lambda: scene.app.done == [10, 20])


async def test_records_without_rows_are_acknowledged_too(tmp_path: Path) -> None:
    """They were known, or cannot be read."""
    scene = Scene(small("loop", lake_commit_rows=10, recent_offsets=1_000), within(tmp_path))
    await scene.take(0, 10)
    again = [raw.__class__(0, 10 + i, raw.timestamp_ms, raw.key, raw.value) for i, raw in enumerate(LOG[:10])]
    await scene.loop.take(ChunkBatch([Chunk(INFERENCE.name, 0, 10, 20, again, 10, 1)], 0.0))
    await scene.worker.sending[SERVED.name]
    assert (scene.rows(), scene.app.done) == (10, [10, 20])


@pytest.mark.slow
async def test_while_the_store_is_away_nothing_is_acknowledged_and_then_everything(s3: S3, tmp_path: Path) -> None:
    where = Storage(s3.storage("loop", timeout="3s"), tmp_path)
    scene = Scene(small("loop", lake_commit_rows=10), where)
    await scene.take(0, 10)
    s3.for_ever = SLOW_DOWN
    taking = asyncio.create_task(scene.take(10, 20))
    await scene.until(lambda: s3.refused >= 3)
    assert (len(scene.log.of(SCORES)), scene.app.done) == (2, [10])
    assert scene.worker.unwritten[INFERENCE.name]() == LOG[10].timestamp_ms
    s3.reset()
    await taking
    assert (scene.rows(), scene.app.done, scene.app.crashes) == (20, [10, 20], [])


async def test_a_lake_that_is_refused_ends_the_worker_before_anything_is_acknowledged(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "lake" / "replies", pa.table({"id": ["theirs"]}))
    scene = Scene(small("loop", lake_commit_rows=10), within(tmp_path))
    await scene.take(0, 10)
    (error,) = scene.app.crashes
    assert isinstance(error, delta.LakeRefused)
    assert scene.app.done == []
