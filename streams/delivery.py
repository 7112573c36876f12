"""Records to the broker and word of each: confirmed, refused for good, or not there yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from kafka import KafkaProducer, codec
from kafka import errors as kafka_errors
from kafka.record import default_records

from streams.codec import Headers
from streams.frames import Record
from streams.log import KafkaSettings
from streams.partitions import ByKey

BEAT_S = 0.25
DELIVERY_S = 120.0  # the producer tries for so long by itself, without duplicates and in order
SPARE_S = 30.0  # beyond it something hangs
MOST_BYTES = 900_000  # of a slice: less than a topic takes in one batch, so that each partition gets one at most
TOO_LARGE = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)
HOPELESS = (*TOO_LARGE, kafka_errors.InvalidRecordError, kafka_errors.InvalidTimestampError)

Make = Callable[[], Any]  # makes a KafkaProducer; raises KafkaError
Failure = BaseException
Outcome = Failure | None  # None: confirmed


def deliver(producer: Any, records: Sequence[Record], beat: Callable[[], bool]) -> list[Outcome]:
    """Sends them all and waits for word of each. `beat` is called while nothing comes; False gives up waiting.

    A refusal takes others down with it: the rest of the batch, or all that the producer has under way."""
    sent = _sent(producer, records)
    deadline = time.monotonic() + DELIVERY_S + SPARE_S
    for each in sent:
        while not isinstance(each, BaseException) and not each.is_done:
            if not _waited(producer, each) and (not beat() or time.monotonic() > deadline):
                return [_outcome(other) for other in sent]
    return [_outcome(each) for each in sent]


def _sent(producer: Any, records: Sequence[Record]) -> list[Any]:
    """A future or an exception for each."""
    sent: list[Any] = []
    for record in records:
        try:
            sent.append(producer.send(record.topic, record.value, record.key, record.headers))
        except HOPELESS as error:
            sent.append(error)
        except Exception as error:  # whatever a producer raises: the next ones would have to wait for it too
            return sent + [error] * (len(records) - len(sent))
    return sent


def _waited(producer: Any, future: Any) -> bool:
    """Whether it is done, after a while."""
    try:
        producer.flush(BEAT_S)
        if not future.is_done:  # its batch was split: flushing does not wait for the parts
            future.get(BEAT_S)
    except Exception:  # the future says what of
        return bool(future.is_done)
    return True


def _outcome(each: Any) -> Outcome:
    if isinstance(each, BaseException):
        return each
    error: Outcome = each.exception if each.is_done else kafka_errors.KafkaTimeoutError("not confirmed yet")
    return error


class Producer(KafkaProducer):  # type: ignore[misc]
    """kafka-python's own, but `close` always ends its thread, and a record's size costs less to estimate."""

    def _estimate_size_in_bytes(self, key: bytes, value: bytes, headers: Headers) -> int:
        # upstream counts each varint: a fifth of what sending costs; should it rename this, only the saving is lost
        return len(key) + len(value) + sum(len(name) + len(value) + 10 for name, value in headers) + 128

    def close(self, timeout: float | None = None, null_logger: bool = False) -> None:
        try:
            super().close(timeout, null_logger)
        except kafka_errors.KafkaError:
            # upstream's flushes first, raises when that takes longer, and leaves a thread that goes on sending
            self._sender.force_close()
            self._sender.join(timeout)
            self._closed = True


def compress_fast() -> None:
    """For this process: upstream's gzip has level 9 and no setting for it. Level 1 costs a fifth and leaves a tenth
    more bytes."""
    default_records.gzip_encode = partial(codec.gzip_encode, compresslevel=1)


def producer(kafka: KafkaSettings, source: str, compressed: bool) -> Any:
    """Idempotent, acks=all; raises KafkaError where the broker is away."""
    compress_fast()
    defaults: dict[str, Any] = {
        "bootstrap_timeout_ms": 2_000,
        "max_block_ms": 5_000,
        "request_timeout_ms": 10_000,
        "delivery_timeout_ms": round(DELIVERY_S * 1_000),
        "reconnect_backoff_max_ms": 10_000,
        "compression_type": "gzip" if compressed else None,
    }
    return Producer(
        bootstrap_servers=kafka.bootstrap,
        client_id=source,
        acks="all",
        enable_idempotence=True,
        batch_size=1_000_000,
        partitioner=ByKey(),
        linger_ms=1_000,  # `deliver` flushes: without it the first record of a slice would go alone
        max_request_size=16 * 1_048_576,
        allow_auto_create_topics=False,
        metrics_enabled=False,
        **{**defaults, **kafka.options},
    )
