"""A worker with one weak spot, where it kills itself, freezes, dawdles or never ends:
`python -m tests.streams.support.faults SPOT`, with the plan on standard input as for `tests.streams.support.worker`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from deltalake import DeltaTable
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from streams.lake.writer import LakeWriter, PartitionRows
from streams.log.outbox import Outgoing, RetryingOutbox
from tests.streams.support import worker

DAWDLES_S = 15.0


class Spot(msgspec.Struct, frozen=True):
    """Where: before or after a record of topic `what` is confirmed (or an event of that kind), or (`what` is "lake")
    rows are written to the lake, by a table that is loaded; the `nth` time. `what` is "client": Kafka's never ends."""

    what: str
    when: Literal["before", "after"] = "after"
    how: Literal["die", "freeze", "dawdle"] = "die"
    nth: int = 1


def act(how: str) -> None:
    if how == "dawdle":
        time.sleep(DAWDLES_S)
    else:
        os.kill(os.getpid(), signal.SIGKILL if how == "die" else signal.SIGSTOP)


def weaken(spot: Spot) -> None:
    """This process has that weak spot from now on."""
    left = [spot.nth]

    def passed() -> None:
        left[0] -= 1
        if left[0] == 0:
            act(spot.how)

    if spot.what == "client":
        AIOKafkaConsumerThread.on_thread_stop = _never
    elif spot.what == "lake":
        _weaken_lake(spot, passed)
    else:
        _weaken_outbox(spot, passed)


async def _never(_: object) -> None:
    await asyncio.sleep(3_600)


def _weaken_lake(spot: Spot, passed: Callable[[], None]) -> None:
    write = LakeWriter._write

    def weak(self: LakeWriter, table: DeltaTable, held: list[PartitionRows]) -> None:
        if spot.when == "before":
            passed()
        write(self, table, held)
        if spot.when == "after":
            passed()

    LakeWriter._write = weak  # type: ignore[method-assign]


def _weaken_outbox(spot: Spot, passed: Callable[[], None]) -> None:
    confirm = RetryingOutbox.confirm

    async def weak(self: RetryingOutbox, records: Sequence[Outgoing]) -> None:
        there = any(
            spot.what in (record.topic.name, dict(record.headers).get("ce_type", b"").decode()) for record in records
        )
        if there and spot.when == "before":
            passed()
        await confirm(self, records)
        if there and spot.when == "after":
            passed()

    RetryingOutbox.confirm = weak  # type: ignore[method-assign]


if __name__ == "__main__":
    weaken(msgspec.json.decode(sys.argv[1], type=Spot))
    asyncio.run(worker.work(worker.plan()))
