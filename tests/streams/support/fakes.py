"""Fakes that keep what the real parts promise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from streams import codec
from streams.events import AlarmCleared, Event
from streams.ingest.agent import IngestAgent
from streams.log.outbox import Outgoing
from streams.log.read import Raw
from streams.topics import ALARMS, Topic

LOGGED_MS = 1_760_000_000_000  # when the log took offset 0


class Died(BaseException):
    """The process was killed."""


class FakeLog:
    """An outbox whose records can be read back; dies before the confirmation numbered `dies_at`, counted in calls
    with records. `asked` is called before each."""

    def __init__(self, dies_at: int | None = None, asked: Callable[[], None] = lambda: None) -> None:
        self.asked = asked
        self.records: list[Outgoing] = []
        self.calls: list[list[str]] = []
        self.dies_at = dies_at

    async def confirm(self, records: Sequence[Outgoing]) -> None:
        if not records:
            return
        self.asked()
        if self.dies_at == len(self.calls):
            self.dies_at = None
            raise Died
        self.calls.append(sorted({record.topic.name for record in records}))
        self.records += records

    def of(self, topic: Topic) -> list[Outgoing]:
        return [record for record in self.records if record.topic == topic]

    def events(self, topic: Topic) -> list[Event]:
        return [_event(topic, record) for record in self.of(topic)]

    def raws(self, topic: Topic, partition: int = 0) -> list[Raw]:
        return [Raw(partition, i, 1_000 * i, r.key, r.value) for i, r in enumerate(self.of(topic))]


def _event(topic: Topic, record: Outgoing) -> Event:
    over = topic == ALARMS and codec.claims(record.headers, AlarmCleared)
    return codec.decode(AlarmCleared if over else topic.value, record.value)


def raws(
    events: Iterable[Event | bytes | None], partition: int = 0, first: int = 0, every_ms: int = 1_000
) -> list[Raw]:
    """Events at consecutive offsets, a second apart or as told."""
    return [
        Raw(
            partition,
            first + i,
            LOGGED_MS + every_ms * (first + i),
            b"key",
            codec.encode(e) if isinstance(e, Event) else e,
        )
        for i, e in enumerate(events)
    ]


async def take_in(agent: IngestAgent[Any], raws: Sequence[Raw]) -> None:
    """Take in records as the worker does; they may be acknowledged then."""
    await agent.send(await agent.prepare(raws))
    await agent.commit()
