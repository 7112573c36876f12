"""kafka-python's producer as the shipper needs it: it fails late, keeps order, and costs little."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from kafka import codec
from kafka.record import default_records

from streams.codec import Headers
from streams.journal.partitioner import ByKey
from streams.log.producer import EndingProducer
from streams.log.settings import KafkaSettings

Make = Callable[[], Any]  # makes a KafkaProducer; raises KafkaError

DELIVERY_S = 120.0  # it tries for so long by itself, without duplicates and in order
MOST_BYTES = 900_000  # of records at once: less than one batch, so that each partition has one under way at most
BATCH_BYTES = 1_000_000  # a topic takes 1,048,588


class Producer(EndingProducer):
    """The producer, to which a record's size costs less to estimate. `prefix`: of the brokers' names of topics."""

    def __init__(self, prefix: str = "", **configs: Any) -> None:
        super().__init__(**configs)
        self._prefix = prefix

    def send(self, topic: str, *args: Any, **more: Any) -> Any:
        """Send a record, as upstream does, to a topic by our name."""
        return super().send(self._prefix + topic, *args, **more)

    def _estimate_size_in_bytes(self, key: bytes, value: bytes, headers: Headers) -> int:
        # upstream counts each varint: a fifth of what sending costs; should it rename this, only the saving is lost
        return len(key) + len(value) + sum(len(name) + len(value) + 10 for name, value in headers) + 128


def producer(kafka: KafkaSettings, source: str, compressed: bool) -> Any:
    """Return an idempotent producer with acks=all; raise KafkaError where the broker is away."""
    _compress_fast()
    defaults: dict[str, Any] = {
        "bootstrap_timeout_ms": 2_000,
        "max_block_ms": 5_000,
        "request_timeout_ms": 10_000,
        "delivery_timeout_ms": round(DELIVERY_S * 1_000),
        "compression_type": "gzip" if compressed else None,
    }
    return Producer(
        kafka.prefix,
        client_id=source,
        acks="all",
        enable_idempotence=True,
        batch_size=BATCH_BYTES,
        partitioner=ByKey(),
        linger_ms=1_000,  # senders flush: without it the first record of many would go alone
        max_request_size=16 * 1_048_576,
        metrics_enabled=False,
        **{**defaults, **kafka.client},
    )


def _compress_fast() -> None:
    """Set gzip's level for this process: upstream's is 9, without a setting. Level 1 costs a fourth and leaves a tenth
    more bytes."""
    default_records.gzip_encode = partial(codec.gzip_encode, compresslevel=1)
