"""The log as a plain object: confirmed appends, whole reads, following. kafka-python, no Faust."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec
import structlog
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from streams import codec
from streams.events import Event
from streams.log.client import Client
from streams.topics import Topic

log = structlog.get_logger()

E = TypeVar("E", bound=Event)

RECONNECT_MS = 2_000  # upstream waits up to 30 s between two tries: a broker that starts again is back in 12


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach the brokers. `options` are further kafka-python settings (SASL, TLS)."""

    bootstrap: str = "127.0.0.1:9092"  # brokers as host:port, with commas between them
    options: dict[str, Any] = field(default_factory=dict, repr=False)  # a password may be among them

    def __post_init__(self) -> None:
        """ValueError for SASL without what it needs: kafka-python would try for a while, and time out."""
        if not str(self.options.get("security_protocol", "")).startswith("SASL"):
            return
        by_password = str(self.options.get("sasl_mechanism", "")).startswith(("PLAIN", "SCRAM"))
        for name in ("sasl_mechanism", *(("sasl_plain_username", "sasl_plain_password") if by_password else ())):
            if not isinstance(self.options.get(name), str):
                raise ValueError(f"KafkaSettings.options has no {name}, expected one for SASL")

    @property
    def client(self) -> dict[str, Any]:
        """What each client of kafka-python is made with."""
        return {
            "bootstrap_servers": self.bootstrap,
            "kafka_client": Client,
            "reconnect_backoff_max_ms": RECONNECT_MS,
            **self.options,
        }


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


class Appender:
    """Confirmed appends: `append` returns once all in-sync replicas have the record, or raises KafkaError. Connecting
    raises KafkaError too: one of `streams.log.client.REFUSED` where the brokers do not take who we say we are."""

    def __init__(self, settings: KafkaSettings, source: str) -> None:
        self._source = source
        self._producer = KafkaProducer(
            client_id=source,
            acks="all",
            enable_idempotence=True,
            max_request_size=16 * 1_048_576,
            compression_type="gzip",
            **settings.client,
        )

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> int:
        """The record's offset. `id` becomes the CloudEvents id; the key is the topic's key field."""
        sent = self._producer.send(
            topic.name,
            key=str(getattr(event, topic.key)).encode(),
            value=codec.encode(event),
            headers=codec.headers(event, id=id, time_ms=time_ms, source=self._source),
        )
        return int(sent.get(timeout=30).offset)

    def close(self) -> None:
        self._producer.close(timeout=5)


class Writer:
    """An Appender that connects when it is first needed, and again after trouble. From one thread at a time."""

    def __init__(self, settings: KafkaSettings, source: str) -> None:
        self._settings, self._source = settings, source
        self._appender: Appender | None = None

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> int:
        """As `Appender.append`; raises KafkaError, and the record may be there or not."""
        if self._appender is None:
            self._appender = Appender(self._settings, self._source)
        try:
            return self._appender.append(topic, event, id=id, time_ms=time_ms)
        except KafkaError:
            self.close()
            raise

    def close(self) -> None:
        appender, self._appender = self._appender, None
        if appender is not None:
            appender.close()


def read(settings: KafkaSettings, topic: Topic, kind: type[E]) -> list[Record[E]]:
    """Everything in the topic up to its end as of now, in order within each partition, as `follow` gives it."""
    return list(follow(settings, topic, kind, stop=lambda: False, until_end=True))


def span(
    settings: KafkaSettings, topic: Topic, partition: int, first: int = 0, end: int | None = None, wait_s: float = 30.0
) -> list[Raw]:
    """What one partition holds at the offsets from `first` to before `end`, as `scan` gives it."""
    return list(scan(settings, topic, partition, first, end, wait_s))


def scan(
    settings: KafkaSettings, topic: Topic, partition: int, first: int = 0, end: int | None = None, wait_s: float = 30.0
) -> Iterator[Raw]:
    """What one partition holds at the offsets from `first` to before `end` (None: its end as of now), as far as the
    log still has them. Raises TimeoutError when the broker gives nothing for `wait_s`."""
    consumer = _consumer(settings, poll_ms=200)
    try:
        at = TopicPartition(topic.name, partition)
        consumer.assign([at])
        last = consumer.end_offsets([at])[at]
        last = last if end is None else min(end, last)
        consumer.seek(at, max(first, consumer.beginning_offsets([at])[at]))
        deadline = time.monotonic() + wait_s
        while consumer.position(at) < last:
            polled = consumer.poll(timeout_ms=200).get(at, [])
            yield from (Raw(partition, r.offset, r.timestamp, r.key, r.value) for r in polled if r.offset < last)
            deadline = time.monotonic() + wait_s if polled else deadline
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic.name}/{partition}: no records for {wait_s:g} s; is the broker well?")
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
    wait_s: float = 30.0,
    idle: Callable[[], None] = lambda: None,
) -> Iterator[Record[E]]:
    """Records from the start (or the end) on, for ever, until `stop()`; `idle()` is called once what was there at the
    beginning is read, and whenever nothing comes for `poll_ms`.

    Raises TimeoutError where the end is wanted and nothing more comes for `wait_s`.

    Reads by assignment, not by group: every follower sees everything. What says that it is of the kind and cannot be
    read is left out, and a warning names it; what says that it is of another is not ours."""
    consumer = _consumer(settings, poll_ms)
    try:
        partitions = [TopicPartition(topic.name, p) for p in sorted(_partitions(consumer, topic.name))]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        if from_end:
            consumer.seek_to_end(*partitions)
        else:
            consumer.seek_to_beginning(*partitions)
        caught_up, deadline = from_end, time.monotonic() + wait_s
        while not stop():
            if not caught_up and all(consumer.position(p) >= ends[p] for p in partitions):
                if until_end:
                    return
                caught_up = True
                idle()
            polled = consumer.poll(timeout_ms=poll_ms)
            if not polled:
                if until_end and time.monotonic() > deadline:
                    raise TimeoutError(f"{topic.name}: no records for {wait_s:g} s; is the broker well?")
                idle()
            else:
                deadline = time.monotonic() + wait_s
            for at, raw in sorted(polled.items()):
                for record in raw:
                    if (event := _decoded(kind, record)) is not None:
                        yield Record(at.partition, record.offset, record.timestamp, event)
    finally:
        consumer.close()


def _decoded(kind: type[E], record: Any) -> E | None:
    try:
        return codec.decode(kind, record.value)
    except codec.Undecodable as error:
        if codec.claims(record.headers, kind):
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.warning("record left out", **place, error=str(error))
        return None


def partition_counts(settings: KafkaSettings, topics: Iterable[Topic]) -> dict[str, int]:
    """How many partitions each topic has; LookupError for one that does not exist."""
    consumer = _consumer(settings, poll_ms=200)
    try:
        return {topic.name: len(_partitions(consumer, topic.name)) for topic in topics}
    finally:
        consumer.close()


def _consumer(settings: KafkaSettings, poll_ms: int) -> KafkaConsumer:
    return KafkaConsumer(
        enable_auto_commit=False,
        fetch_max_wait_ms=poll_ms,
        fetch_max_bytes=64 * 1_048_576,
        max_partition_fetch_bytes=16 * 1_048_576,
        **settings.client,
    )


def _partitions(consumer: KafkaConsumer, topic: str, wait_s: float = 10.0) -> set[int]:
    deadline = time.monotonic() + wait_s
    while not (found := consumer.partitions_for_topic(topic)):
        if time.monotonic() > deadline:
            raise LookupError(f"topic {topic!r} does not exist; `homeostat up` creates the topics")
        time.sleep(0.1)
    return set(found)


def ends(settings: KafkaSettings, topic: Topic) -> int:
    """How many records the topic ever took: the sum of its partitions' end offsets."""
    consumer = _consumer(settings, poll_ms=200)
    try:
        partitions = [TopicPartition(topic.name, p) for p in _partitions(consumer, topic.name)]
        return sum(consumer.end_offsets(partitions).values())
    finally:
        consumer.close()
