"""Records on their way out, and the promise that they arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from streams import codec, metrics
from streams.events import Event
from streams.log.rejects import RejectedRecord, Rejects, too_large
from streams.topics import Topic

SOURCE = "homeostat/worker"
LONGEST_WAIT_S = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record as bytes. `partition` None: by key."""

    topic: Topic
    key: bytes
    value: bytes | None  # None is a tombstone
    headers: codec.Headers
    partition: int | None = None


def outgoing(
    topic: Topic, event: Event, *, id: str, time_ms: int, partition: int | None = None, key: str | None = None
) -> Outgoing:
    """Return an event ready to be sent; its key is the topic's key field, where none is given."""
    headers = codec.headers(event, id=id, time_ms=time_ms, source=SOURCE)
    named = str(getattr(event, topic.key)) if key is None else key
    return Outgoing(topic, named.encode(), codec.encode(event), headers, partition)


class Outbox(Protocol):
    """Where confirmed records go."""

    async def confirm(self, records: Sequence[Outgoing]) -> None:
        """Send records until all in-sync replicas have every one; then return. Their order is not promised. A record
        that is too large for the broker is set apart."""


Send = Callable[[Outgoing], Awaitable[Awaitable[Any]]]


@dataclass(frozen=True, slots=True)
class RetryingOutbox:
    """An outbox that tries until the broker confirms. `send` takes a record and returns its confirmation to await."""

    send: Send
    first_wait_s: float = 0.2
    rejects: Rejects | None = None

    async def confirm(self, records: Sequence[Outgoing]) -> None:
        """Send records until each is confirmed or set apart."""
        left, wait_s = list(records), self.first_wait_s
        while left := await self._attempt(left):
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _attempt(self, records: list[Outgoing]) -> list[Outgoing]:
        """Returns the records that did not arrive."""
        answers = await asyncio.gather(*(self._sent(record) for record in records), return_exceptions=True)
        failed = [(r, a) for r, a in zip(records, answers, strict=True) if isinstance(a, BaseException)]
        if failed := [(r, a) for r, a in failed if not (too_large(a) and await self._hopeless(r))]:
            log.warning("not confirmed, will be sent again", records=len(failed), error=repr(failed[0][1]))
        return [record for record, _ in failed]

    async def _hopeless(self, record: Outgoing) -> bool:
        """Whether a record sent alone is done: confirmed, or refused for its size. In a batch it takes others with
        it."""
        try:
            await self._sent(record)
        except Exception as error:
            if not too_large(error):
                return False
            metrics.TOO_LARGE.labels(record.topic.name).inc()
            kept = RejectedRecord(record.topic.name, record.key, record.value or b"", record.headers)
            if self.rejects is None:
                log.error("record lost: no broker takes it", topic=kept.topic, bytes=len(kept.value), error=repr(error))
            else:
                await asyncio.to_thread(self.rejects.keep, kept, error)
        return True

    async def _sent(self, record: Outgoing) -> None:
        await (await self.send(record))
