"""The log as a plain object: whole reads, ranges, following. kafka-python, no Faust."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
import structlog
from kafka import KafkaConsumer, TopicPartition

from streams import codec
from streams.events import Event
from streams.log.patience import Moved, unheeded
from streams.log.settings import KafkaSettings
from streams.topics import CREATES, Topic

log = structlog.get_logger()

E = TypeVar("E", bound=Event)
WAIT_S = 30.0  # for the next records before the end; `KafkaSettings.quiet_s`, where that is less
FETCHED, HURRIED = 64 * 1_048_576, 4 * 1_048_576  # bytes of one answer; less where its beginning is not waited for long


@dataclass(frozen=True, slots=True)
class Record(Generic[E]):
    """One decoded record with its place in the log."""

    partition: int
    offset: int
    timestamp_ms: int
    event: E


class Raw(msgspec.Struct, frozen=True):
    """One record as the log has it."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


def read(settings: KafkaSettings, topic: Topic, kind: type[E], moved: Moved = unheeded) -> list[Record[E]]:
    """Return everything in the topic up to its present end, in order within each partition, as `follow` yields it."""
    return list(follow(settings, topic, kind, stop=lambda: False, until_end=True, moved=moved))


def span(settings: KafkaSettings, topic: Topic, partition: int, first: int = 0, end: int | None = None) -> list[Raw]:
    """Return one partition's records from offset `first` to before `end`, as `scan` yields them."""
    return list(scan(settings, topic, partition, first, end))


def scan(
    settings: KafkaSettings, topic: Topic, partition: int, first: int = 0, end: int | None = None
) -> Iterator[Raw]:
    """Yield one partition's records from offset `first` to before `end` (None: its present end), as far as the log
    still has them. Raises TimeoutError when the broker sends nothing for WAIT_S."""
    consumer, wait_s = _consumer(settings, poll_ms=200), _patience_s(settings, WAIT_S)
    try:
        at = TopicPartition(settings.physical(topic.name), partition)
        consumer.assign([at])
        last = consumer.end_offsets([at])[at]
        last = last if end is None else min(end, last)
        consumer.seek(at, max(first, consumer.beginning_offsets([at])[at]))
        deadline = time.monotonic() + wait_s
        while _position(consumer, at, wait_s) < last:
            polled = consumer.poll(timeout_ms=200).get(at, [])
            yield from (Raw(partition, r.offset, r.timestamp, r.key, r.value) for r in polled if r.offset < last)
            deadline = time.monotonic() + wait_s if polled else deadline
            if time.monotonic() > deadline:
                raise TimeoutError(f"{at.topic}/{partition}: no records for {wait_s:g} s; is the broker well?")
    finally:
        consumer.close()


def follow(
    settings: KafkaSettings,
    topic: Topic,
    kind: type[E],
    *,
    stop: Callable[[], bool],
    until_end: bool = False,
    from_end: bool = False,
    poll_ms: int = 200,
    wait_s: float = WAIT_S,
    idle: Callable[[], None] = lambda: None,
    moved: Moved = unheeded,
) -> Iterator[Record[E]]:
    """Yield the records from the start (or the end) on, for ever, until `stop()`; `idle()` is called once the records
    of the beginning are read, and whenever nothing comes for `poll_ms`; `moved()` with each answer that takes the
    reading on.

    Raises TimeoutError where the end is wanted and nothing more comes for `wait_s`.

    Reads by assignment, not by group: every follower gets everything. A record of this kind that cannot be read is
    left out, and a warning names it; a record whose headers name another kind is not ours."""
    consumer, wait_s = _consumer(settings, poll_ms), _patience_s(settings, wait_s)
    try:
        moved()
        name = settings.physical(topic.name)
        ends = _assigned(consumer, name, from_end=from_end)
        moved()
        caught_up, deadline = from_end, time.monotonic() + wait_s
        while not stop():
            if not caught_up and _reached(consumer, ends, wait_s):
                if until_end:
                    return
                caught_up = True
                idle()
            polled = consumer.poll(timeout_ms=poll_ms)
            if polled:
                deadline = time.monotonic() + wait_s
                moved()
            elif until_end and time.monotonic() > deadline:
                raise TimeoutError(f"{name}: no records for {wait_s:g} s; is the broker well?")
            else:
                idle()
            for at, raw in sorted(polled.items()):
                for record in raw:
                    if (event := _decoded(kind, record)) is not None:
                        yield Record(at.partition, record.offset, record.timestamp, event)
    finally:
        consumer.close()


def _assigned(consumer: KafkaConsumer, name: str, *, from_end: bool) -> dict[TopicPartition, int]:
    """Let it read the topic from its start, or its end; return the ends of the partitions."""
    partitions = [TopicPartition(name, p) for p in sorted(_partitions(consumer, name))]
    consumer.assign(partitions)
    ends: dict[TopicPartition, int] = consumer.end_offsets(partitions)
    if from_end:
        consumer.seek_to_end(*partitions)
    else:
        consumer.seek_to_beginning(*partitions)
    return ends


def _reached(consumer: KafkaConsumer, ends: Mapping[TopicPartition, int], wait_s: float) -> bool:
    return all(_position(consumer, at, wait_s) >= end for at, end in ends.items())


def _position(consumer: KafkaConsumer, at: TopicPartition, wait_s: float) -> int:
    """Upstream asks a broker for ever, or gives none. Raise TimeoutError."""
    found = consumer.position(at, timeout_ms=1_000 * wait_s)
    if found is None:
        raise TimeoutError(f"{at.topic}/{at.partition}: no offset for {wait_s:g} s; is the broker well?")
    return int(found)


def _decoded(kind: type[E], record: Any) -> E | None:
    try:
        return codec.decode(kind, record.value)
    except codec.Undecodable as error:
        if codec.claims(record.headers, kind):
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.warning("record left out", **place, error=str(error))
        return None


def partition_counts(settings: KafkaSettings, topics: Iterable[Topic]) -> dict[str, int]:
    """Return how many partitions each topic has, by our name; raise LookupError for a topic that does not exist."""
    consumer = _consumer(settings, poll_ms=200)
    try:
        return {topic.name: len(_partitions(consumer, settings.physical(topic.name))) for topic in topics}
    finally:
        consumer.close()


def _patience_s(settings: KafkaSettings, most_s: float) -> float:
    return most_s if settings.quiet_s is None else min(most_s, settings.quiet_s)


def _consumer(settings: KafkaSettings, poll_ms: int) -> KafkaConsumer:
    most = FETCHED if settings.quiet_s is None else HURRIED
    return KafkaConsumer(
        enable_auto_commit=False,
        fetch_max_wait_ms=poll_ms,
        fetch_max_bytes=most,
        max_partition_fetch_bytes=most // 4,
        **settings.client,
    )


def _partitions(consumer: KafkaConsumer, topic: str, wait_s: float = 10.0) -> set[int]:
    deadline = time.monotonic() + wait_s
    while not (found := consumer.partitions_for_topic(topic)):
        if time.monotonic() > deadline:
            raise LookupError(f"topic {topic!r} does not exist; {CREATES}")
        time.sleep(0.1)
    return set(found)


def ends(settings: KafkaSettings, topic: Topic) -> int:
    """Return how many records the topic ever took: the sum of its partitions' end offsets."""
    consumer = _consumer(settings, poll_ms=200)
    try:
        name = settings.physical(topic.name)
        partitions = [TopicPartition(name, p) for p in _partitions(consumer, name)]
        return sum(consumer.end_offsets(partitions).values())
    finally:
        consumer.close()
