"""A broker that answers some kinds of requests and swallows all others, as one whose disk or quorum is gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.stack import ports
from deploy.stack.kafka import EmbeddedKafka
from streams.log.settings import KafkaSettings
from tests.support.waiting import PATIENCE_S

# keys of Kafka's protocol
PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS = 0, 1, 2, 3, 18
HEAD = 4  # bytes of a request's length, before its key


@dataclass(frozen=True, slots=True)
class GuardedKafka(EmbeddedKafka):
    """The embedded broker, which names `front` as the address where it is found."""

    front: int = 0

    def _write_properties(self) -> Path:
        path = EmbeddedKafka._write_properties(self)
        here = "advertised.listeners=PLAINTEXT://127.0.0.1:"
        path.write_text(path.read_text().replace(f"{here}{self.port}", f"{here}{self.front}"))
        return path


@dataclass(slots=True)
class HalfDead:
    """What stands before the broker. `answers`: the keys of the requests that it passes on; None: all."""

    settings: KafkaSettings
    behind: int
    answers: frozenset[int] | None = None
    swallowed: list[int] = field(default_factory=list)  # the keys of the others, in their order

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one client's requests on, as long as both sides are there."""
        from_broker, to_broker = await asyncio.open_connection("127.0.0.1", self.behind)
        back = asyncio.create_task(_copied(from_broker, writer))
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._pass(reader, to_broker)
        finally:
            back.cancel()
            to_broker.close()
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, to_broker: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readexactly(HEAD)
            body = await reader.readexactly(int.from_bytes(head))
            key = int.from_bytes(body[:2])
            if self.answers is None or key in self.answers:
                to_broker.write(head + body)
                await to_broker.drain()
            else:
                self.swallowed.append(key)


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@contextmanager
def half_dead(folder: Path, cache: Path) -> Iterator[HalfDead]:
    """A broker that is well until `answers` says otherwise."""
    behind, front = ports.free(2)
    broker = GuardedKafka(folder, behind, cache, front=front)
    made = HalfDead(KafkaSettings(f"127.0.0.1:{front}"), behind)
    broker.start()
    try:
        with _served(made, front):
            yield made
    finally:
        broker.stop()


@contextmanager
def _served(made: HalfDead, port: int) -> Iterator[None]:
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        server = await asyncio.start_server(made.take, "127.0.0.1", port)
        ready.set()
        await over.wait()
        server.close()

    def work() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=work, name="half-dead", daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
