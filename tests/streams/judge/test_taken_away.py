"""Partitions that are taken away at any moment, and come back."""

from __future__ import annotations

import asyncio
from functools import cache
from operator import attrgetter

import msgspec
import pytest

from streams import codec
from streams.events import Event
from streams.judge.agent import JudgeAgent
from streams.judge.memory import JudgeRecord
from streams.log.chunks import ReadProgress
from streams.log.read import Raw
from streams.topics import SCORES, STATE
from tests.streams.support.fakes import FakeLog
from tests.streams.support.scenario import RULES, chunks, once, records

pytestmark = pytest.mark.slow


class Shared:
    """A worker and the partitions of the scores it holds: they are taken away when it writes or reads for the
    `at`-th time, and come back, each from what was acknowledged of it."""

    def __init__(self, at: int) -> None:
        self.log = FakeLog(asked=self._asked)
        self.worker = JudgeAgent(RULES, self.log, self._read, lambda alias: False, lambda alarm: None)
        self.left, self.away = at, 0
        self.scores = {partition: scored(alias, partition) for partition, alias in enumerate(("support", "search"))}

    async def work(self, size: int) -> None:
        acknowledged = dict.fromkeys(self.scores, 0)
        while any(acknowledged[partition] < len(raws) for partition, raws in self.scores.items()):
            await self._generation(size, acknowledged)

    async def _generation(self, size: int, acknowledged: dict[int, int]) -> None:
        progress, at, away = ReadProgress[int](), dict(acknowledged), self.away
        for partition, first in at.items():
            progress.begin(partition, first)
        while any(at[partition] < len(raws) for partition, raws in self.scores.items()):
            fetched = {p: raws[at[p] : at[p] + size] for p, raws in self.scores.items() if at[p] < len(raws)}
            done = await self.worker.take([chunk for raws in fetched.values() for chunk in chunks(raws)])
            if self.away != away:
                return
            for chunk in done:
                progress.done(chunk.partition, chunk.first, chunk.end)
            for partition, raws in fetched.items():
                at[partition] += len(raws)
                acknowledged[partition] = progress.position(partition) or acknowledged[partition]

    def _read(self, partition: int) -> list[Raw]:
        self._asked()
        return [
            Raw(partition, i, 0, r.key, r.value) for i, r in enumerate(self.log.of(STATE)) if r.partition == partition
        ]

    def _asked(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.away += 1
            self.worker.forget()


@cache
def scored(alias: str, partition: int) -> list[tuple[str, Raw]]:
    found = [msgspec.structs.replace(raw, partition=partition) for name, raw in records(alias) if name == SCORES.name]
    return [(SCORES.name, raw) for raw in found]


@pytest.fixture(scope="module")
def undisturbed() -> FakeLog:
    shared = Shared(0)
    asyncio.run(shared.work(5))
    assert shared.away == 0
    return shared.log


@pytest.mark.parametrize(("size", "at"), [*((2, at) for at in range(1, 51, 3)), *((7, at) for at in range(1, 23, 2))])
async def test_when_partitions_are_taken_away_changes_nothing(size: int, at: int, undisturbed: FakeLog) -> None:
    shared = Shared(at)
    await shared.work(size)
    assert shared.away == 1
    assert by_alias(shared.log) == by_alias(undisturbed)
    assert memories(shared.log) == memories(undisturbed)


def by_alias(log: FakeLog) -> dict[str, list[Event]]:
    """The effects, each id once; of each alias in their order."""
    return {name: sorted(events, key=attrgetter("alias")) for name, events in once(log).items()}


def memories(log: FakeLog) -> list[JudgeRecord]:
    newest = {
        record.key: codec.decode(JudgeRecord, record.value)
        for record in log.of(STATE)
        if b"@" not in record.key and record.value
    }
    return list(newest.values())
