"""A log copied to another broker: the same bytes at the same offsets with the same times."""

from __future__ import annotations

from dataclasses import replace

from kafka import KafkaProducer

from deploy.stack.topics import create_topics
from streams.log.read import partition_counts, span
from streams.log.settings import KafkaSettings
from streams.topics import TAKEN_IN, Topic


def mirror(source: KafkaSettings, target: KafkaSettings) -> None:
    """Copies what workers take in; the target's topics must be empty."""
    create_topics(
        target, [replace(topic, timed_by_log=False) for topic in TAKEN_IN]
    )  # or copies had times of their own
    for topic in TAKEN_IN:
        for partition in range(partition_counts(source, [topic])[topic.name]):
            _copy(source, target, topic, partition)


def _copy(source: KafkaSettings, target: KafkaSettings, topic: Topic, partition: int) -> None:
    records = span(source, topic, partition)
    producer = KafkaProducer(bootstrap_servers=target.bootstrap, acks="all", linger_ms=20, enable_idempotence=True)
    sent = [
        producer.send(topic.name, key=r.key, value=r.value, partition=partition, timestamp_ms=r.timestamp_ms)
        for r in records
    ]
    producer.flush()
    producer.close()
    assert [each.get().offset for each in sent] == [record.offset for record in records]
