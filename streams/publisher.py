"""Events on their way to Kafka while somebody else is being served: never blocks, never raises, spools to disk.

Order: an event goes to the broker only when nothing older waits in the spool. An event that may have arrived though
its confirmation was lost is sent again with the same key and id, so that the worker drops it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from kafka import KafkaProducer
from kafka import errors as kafka_errors

from streams import codec
from streams import publisher_metrics as metrics
from streams.events import Event
from streams.log import KafkaSettings
from streams.spool import Fsync, Spool, Spooled
from streams.topics import Topic

log = structlog.get_logger()

BATCH = 2_000
IDLE_S = 0.05
PATIENCE_S = 8.0  # for one batch's confirmation
RETRY_S = (0.5, 10.0)  # first and longest wait before the broker is tried again
HOPELESS = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)

Make = Callable[[], Any]  # makes a KafkaProducer; raises KafkaError


@dataclass(frozen=True, slots=True)
class PublisherSettings:
    """`queue_events` wait in memory at most, `spool_bytes` on disk."""

    spool_dir: Path
    queue_events: int = 20_000
    spool_bytes: int = 256 * 1_048_576
    linger_ms: int = 5
    fsync: Fsync = Fsync.SEGMENT


@dataclass(frozen=True, slots=True)
class _Item:
    topic: Topic
    event: Event
    id: str
    time_ms: int


class Publisher:
    """Raises RuntimeError when another process has the spool's folder. `make` is the tests' way in."""

    def __init__(
        self, kafka: KafkaSettings, settings: PublisherSettings, source: str, make: Make | None = None
    ) -> None:
        self._settings, self._source = settings, source
        self._make = make or (lambda: _producer(kafka, settings, source))
        self._queue: queue.Queue[_Item] = queue.Queue(settings.queue_events)
        self._spool = Spool(settings.spool_dir, settings.spool_bytes, fsync=settings.fsync)
        self._producer: Any = None
        self._retry_at, self._wait_s = 0.0, RETRY_S[0]
        self._closing = threading.Event()
        self._settled = threading.Condition()
        self._accepted = self._done = 0  # events taken by `publish`; those confirmed, spooled or dropped
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def publish(self, topic: Topic, event: Event, id: str, time_ms: int) -> None:
        """Takes the event along; never blocks and never raises. Full or closed: counted as dropped."""
        if self._closing.is_set():
            metrics.DROPPED.labels(topic.name, "closed").inc()
            return
        try:
            self._queue.put_nowait(_Item(topic, event, id, time_ms))
        except queue.Full:
            metrics.DROPPED.labels(topic.name, "queue_full").inc()
        else:
            with self._settled:
                self._accepted += 1

    def flush(self, timeout_s: float) -> bool:
        """Whether the broker has, within the time, confirmed everything published before this call and everything
        in the spool."""
        deadline = time.monotonic() + timeout_s
        with self._settled:
            wanted = self._accepted
            while self._done < wanted or self._spool:
                left = deadline - time.monotonic()
                if left <= 0 or not self._thread.is_alive():
                    return False
                self._settled.wait(min(left, 0.1))
            return True

    def close(self, timeout_s: float = 15.0) -> None:
        """Sends what it can; what the broker does not take at once stays in the spool for the next start."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        if not self._thread.is_alive():
            while batch := self._take():  # came while the thread ended
                self._handle(batch)
            self._spool.close()
            self._disconnect()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._turn()
            except Exception:  # the loop's top: the thread must live
                log.exception("publisher turn failed")
                time.sleep(IDLE_S)
        while batch := self._take():
            self._handle(batch)

    def _turn(self) -> None:
        if batch := self._take():
            self._handle(batch)
        elif self._spool:
            time.sleep(0 if self._connected() else IDLE_S)
        if self._spool and self._connected():
            self._replay()
        metrics.QUEUED.set(self._queue.qsize())
        metrics.SPOOL_BYTES.set(self._spool.size_bytes)

    def _take(self) -> list[_Item]:
        """What waits, at most a batch; a short wait when nothing does."""
        items: list[_Item] = []
        try:
            items.append(self._queue.get(timeout=0 if self._closing.is_set() or self._spool else IDLE_S))
            while len(items) < BATCH:
                items.append(self._queue.get_nowait())
        except (queue.Empty, ValueError):
            pass
        return items

    def _handle(self, items: list[_Item]) -> None:
        records = [record for item in items if (record := self._encoded(item)) is not None]
        try:
            if records and not self._spool and self._connected():
                records = self._deliver(records)
            if records:
                self._keep(records)
        finally:
            with self._settled:
                self._done += len(items)
                self._settled.notify_all()

    def _encoded(self, item: _Item) -> Spooled | None:
        try:
            headers = codec.headers(item.event, id=item.id, time_ms=item.time_ms, source=self._source)
            key = str(getattr(item.event, item.topic.key)).encode()
            return Spooled(item.topic.name, key, codec.encode(item.event), headers)
        except Exception as error:  # whatever the event holds, the rest must go on
            self._lose(item.topic.name, "unencodable", repr(error))
            return None

    def _keep(self, records: list[Spooled]) -> None:
        try:
            taken, reason = self._spool.append(records), "spool_full"
        except OSError as error:
            taken, reason = 0, "disk"
            log.error("spool cannot be written; events are lost", events=len(records), error=str(error))
        for record in records[:taken]:
            metrics.SPOOLED.labels(record.topic).inc()
        for record in records[taken:]:
            metrics.DROPPED.labels(record.topic, reason).inc()

    def _replay(self) -> None:
        """Sends the oldest segment; what was not confirmed keeps its place."""
        self._spool.settle(self._deliver(self._spool.oldest()))
        with self._settled:
            self._settled.notify_all()

    def _connected(self) -> bool:
        if self._producer is None and time.monotonic() >= self._retry_at:
            try:
                self._producer = self._make()
            except Exception as error:  # also a setting it refuses: the events are safe in the spool meanwhile
                self._away(error)
        return self._producer is not None

    def _away(self, error: BaseException) -> None:
        log.warning("broker is away; events go to the spool", error=repr(error), retry_s=self._wait_s)
        self._disconnect()
        self._retry_at = time.monotonic() + self._wait_s
        self._wait_s = min(2 * self._wait_s, RETRY_S[1])

    def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=0.5)

    def _deliver(self, records: Sequence[Spooled]) -> list[Spooled]:
        """Sends them all and waits; returns those the broker did not confirm, in order."""
        failed: list[tuple[Spooled, BaseException]] = self._send(records)
        refused = [record for record, error in failed if isinstance(error, HOPELESS)]
        if refused and len(failed) > 1:  # one too large may have taken its whole batch down
            failed = [pair for record, error in failed for pair in self._again(record, error)]
        for record, error in failed:
            if isinstance(error, HOPELESS):
                self._lose(record.topic, "too_large", repr(error))
        left = [(record, error) for record, error in failed if not isinstance(error, HOPELESS)]
        if left:
            self._away(left[0][1])
        else:
            self._wait_s = RETRY_S[0]
        return [record for record, _ in left]

    def _again(self, record: Spooled, error: BaseException) -> list[tuple[Spooled, BaseException]]:
        return self._send([record]) if isinstance(error, HOPELESS) else [(record, error)]

    def _send(self, records: Sequence[Spooled]) -> list[tuple[Spooled, BaseException]]:
        sent: list[tuple[Spooled, Any]] = []
        failed: list[tuple[Spooled, BaseException]] = []
        broken: BaseException | None = None
        for record in records:
            try:
                if broken is not None:  # each would wait for the broker again
                    raise broken
                future = self._producer.send(record.topic, key=record.key, value=record.value, headers=record.headers)
                sent.append((record, future))
            except Exception as error:  # whatever a producer raises, the event is not there
                broken = None if isinstance(error, HOPELESS) else error
                sent.append((record, error))
        deadline = time.monotonic() + PATIENCE_S
        for record, future in sent:
            try:
                if isinstance(future, BaseException):
                    raise future
                future.get(timeout=max(deadline - time.monotonic(), 0.01))
                metrics.PUBLISHED.labels(record.topic).inc()
            except Exception as error:  # whatever a producer raises, the event is not there
                failed.append((record, error))
        return failed

    def _lose(self, topic: str, reason: str, error: str) -> None:
        metrics.DROPPED.labels(topic, reason).inc()
        log.error("event lost", topic=topic, reason=reason, error=error)


def _producer(kafka: KafkaSettings, settings: PublisherSettings, source: str) -> Any:
    """Gives up soon: what is not confirmed goes to the spool and comes again."""
    defaults: dict[str, Any] = {
        "bootstrap_timeout_ms": 2_000,
        "max_block_ms": 2_000,
        "request_timeout_ms": 5_000,
        "delivery_timeout_ms": 7_000,
        "reconnect_backoff_max_ms": 1_000,
        "compression_type": "gzip",
    }
    return KafkaProducer(
        bootstrap_servers=kafka.bootstrap,
        client_id=source,
        acks="all",
        enable_idempotence=True,
        linger_ms=settings.linger_ms,
        max_request_size=16 * 1_048_576,
        allow_auto_create_topics=False,
        **{**defaults, **kafka.options},
    )
