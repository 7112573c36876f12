"""Confirmed appends to the log."""

from __future__ import annotations

from kafka import KafkaProducer
from kafka.errors import KafkaError

from streams import codec
from streams.events import Event
from streams.log.settings import KafkaSettings
from streams.topics import Topic


class Appender:
    """Confirmed appends: `append` returns once all in-sync replicas have the record, or raises KafkaError. Connecting
    raises KafkaError too: one of `streams.log.client.REFUSED` where the brokers refuse our name or password."""

    def __init__(self, settings: KafkaSettings, source: str) -> None:
        self._source, self._physical = source, settings.physical
        self._producer = KafkaProducer(
            client_id=source,
            acks="all",
            enable_idempotence=True,
            max_request_size=16 * 1_048_576,
            compression_type="gzip",
            **settings.client,
        )

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> int:
        """Append an event and return its offset. `id` becomes the CloudEvents id; the key is the topic's key field."""
        sent = self._producer.send(
            self._physical(topic.name),
            key=str(getattr(event, topic.key)).encode(),
            value=codec.encode(event),
            headers=codec.headers(event, id=id, time_ms=time_ms, source=self._source),
        )
        return int(sent.get(timeout=30).offset)

    def close(self) -> None:
        """Close the connection."""
        self._producer.close(timeout=5)


class Writer:
    """An Appender that connects when it is first needed, and again after trouble. From one thread at a time."""

    def __init__(self, settings: KafkaSettings, source: str) -> None:
        self._settings, self._source = settings, source
        self._appender: Appender | None = None

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> int:
        """Append as `Appender.append` does. After a KafkaError the record may be in the log or not."""
        if self._appender is None:
            self._appender = Appender(self._settings, self._source)
        try:
            return self._appender.append(topic, event, id=id, time_ms=time_ms)
        except KafkaError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection, if there is one."""
        appender, self._appender = self._appender, None
        if appender is not None:
            appender.close()
