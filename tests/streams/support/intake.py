"""A worker without Kafka, in a process of its own: takes a log of 200 replies in, from the acknowledged offset on, and
dies at a step of one's choice. `python -m tests.streams.support.intake`, with an `Order` as JSON on standard input."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from streams import codec
from streams.events import ScoreBatch
from streams.files import put
from streams.ingest.agent import IngestAgent
from streams.ingest.prepare import SERVED
from streams.log.outbox import Outgoing
from streams.log.read import Raw
from streams.objects.opening import Storage
from tests.streams.support.fakes import raws
from tests.streams.support.traffic import served, small

EVENTS = [served("support", i) for i in range(200)]
LOG = raws([*EVENTS[:90], *EVENTS[60:90], *EVENTS[90:]])  # some come twice
TOGETHER = 10  # records prepared at once; every second time the rows are written
STEPS = ("prepared", "scored", "written", "acknowledged")


class Order(msgspec.Struct):
    """Where everything is, and where to die, once something was acknowledged: at a step, or so long after
    a commit began."""

    storage: Storage
    dies: str = ""
    within_ms: float = 0.0


class ScoreFile:
    """Scores in a file, a line for each reply: its offset and id."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def confirm(self, records: Sequence[Outgoing]) -> None:
        rows = [codec.decode(ScoreBatch, record.value).rows for record in records]
        with self._path.open("ab") as file:
            for each in rows:
                for place in zip(each.offsets, each.ids, strict=True):
                    file.write(msgspec.json.encode(place) + b"\n")


def scored(var: Path) -> list[str]:
    """The ids that the judge would see: rows above its watermark."""
    found: list[str] = []
    done = -1
    for line in (var / "scores").read_bytes().splitlines():
        offset, id = msgspec.json.decode(line)
        if offset > done:
            found.append(id)
            done = offset
    return found


def start(order: Order) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.streams.support.intake"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(order, enc_hook=str))
    process.stdin.close()
    return process


async def take(order: Order) -> None:
    settings, var = small("intake", recent_offsets=1_000, profile_flush_s=1_000.0), order.storage.var
    agent = IngestAgent(SERVED, settings, order.storage, ScoreFile(var / "scores"), tail)
    acknowledged = var / "offset"
    first = int(acknowledged.read_text()) if acknowledged.exists() else 0
    lived = False
    for at in range(first, len(LOG), TOGETHER):
        prepared = await agent.prepare(LOG[at : at + TOGETHER])
        _step("prepared", order, lived)
        await agent.send(prepared)
        _step("scored", order, lived)
        if (at // TOGETHER) % 2 or at + TOGETHER >= len(LOG):
            if lived and order.within_ms:
                threading.Timer(order.within_ms / 1_000, _die).start()
            await agent.commit()
            _step("written", order, lived)
            put(acknowledged, str(at + TOGETHER).encode())
            _step("acknowledged", order, lived)
            lived = True


def tail(partition: int, first: int, end: int) -> Sequence[Raw]:
    return LOG[first:end]


def _step(name: str, order: Order, lived: bool) -> None:
    if lived and name == order.dies:
        _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(
        take(msgspec.json.decode(sys.stdin.buffer.read(), type=Order, dec_hook=lambda kind, value: kind(value)))
    )
