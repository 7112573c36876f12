"""Confirmed appends to the log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka.errors import KafkaError

from streams import codec
from streams.events import Event
from streams.log.producer import EndingProducer
from streams.log.settings import KafkaSettings
from streams.topics import Topic

CONFIRMED_S = 30.0
CLOSE_S = 5.0  # for what is under way


class Appender:
    """Confirmed appends: `append` returns once all in-sync replicas have the record, or raises KafkaError. Connecting
    raises KafkaError too: one of `streams.log.client.REFUSED` where the brokers refuse our name or password."""

    def __init__(self, settings: KafkaSettings, source: str) -> None:
        self._source, self._physical = source, settings.physical
        self._producer = EndingProducer(
            client_id=source,
            acks="all",
            enable_idempotence=True,
            max_request_size=16 * 1_048_576,
            compression_type="gzip",
            **settings.client,
        )
        # Whoever has one closes it: at the process's end upstream would wait two seconds for brokers that are silent.
        self._producer._unregister_cleanup()

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> int:
        """Append an event and return its offset. `id` becomes the CloudEvents id; the key is the topic's key field."""
        return int(self._sent(topic, event, id, time_ms).get(timeout=CONFIRMED_S).offset)

    def append_all(self, topic: Topic, events: Iterable[tuple[str, Event]], *, time_ms: int) -> None:
        """Append events with their ids, in this order; return once all are confirmed. After a KafkaError some may be in
        the log."""
        for sent in [self._sent(topic, event, id, time_ms) for id, event in events]:
            sent.get(timeout=CONFIRMED_S)

    def _sent(self, topic: Topic, event: Event, id: str, time_ms: int) -> Any:
        return self._producer.send(
            self._physical(topic.name),
            key=str(getattr(event, topic.key)).encode(),
            value=codec.encode(event),
            headers=codec.headers(event, id=id, time_ms=time_ms, source=self._source),
        )

    def close(self) -> None:
        """Close the connection."""
        self._producer.close(timeout=CLOSE_S)


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
