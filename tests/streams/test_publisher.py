"""Nothing waits for the broker, nothing is lost without being counted, order stays."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka import errors as kafka_errors

from streams import publisher_metrics as metrics
from streams.events import Arm, FeedbackGiven
from streams.log import KafkaSettings, read
from streams.publisher import Publisher, PublisherSettings
from streams.topics import FEEDBACK

NOWHERE = KafkaSettings("127.0.0.1:9")


def event(id: str, label: str = "x") -> FeedbackGiven:
    return FeedbackGiven(
        id=id, event_id="one-key", time_ms=1, alias="a", version="v", arm=Arm.CHAMPION, by="k", label=label
    )


class Confirmation:
    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def get(self, timeout: float) -> None:
        if self.error:
            raise self.error


class Broker:
    """What a producer promises: each record is confirmed or fails. Away while `away`."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.away = False
        self.confirms: Callable[[str], Exception | None] = lambda id: None

    def producer(self) -> Broker:
        if self.away:
            raise kafka_errors.KafkaTimeoutError
        return self

    def send(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> Confirmation:
        id = dict(headers)["ce_id"].decode()
        error = kafka_errors.KafkaTimeoutError() if self.away else self.confirms(id)
        if error is None:
            self.ids.append(id)
        return Confirmation(error)

    def close(self, timeout: float) -> None:
        pass


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    monkeypatch.setattr("streams.publisher.RETRY_S", (0.02, 0.05))
    return Broker()


def publisher(folder: Path, broker: Broker, **changes: Any) -> Publisher:
    made = Publisher(NOWHERE, PublisherSettings(folder, **changes), "test", make=broker.producer)
    made.start()
    return made


def publish(to: Publisher, *ids: str) -> None:
    for id in ids:
        to.publish(FEEDBACK, event(id), id, 1)


def counted(counter: Any, *labels: str) -> float:
    return float(counter.labels(FEEDBACK.name, *labels)._value.get())


def test_events_arrive_in_order_and_are_counted(tmp_path: Path, broker: Broker) -> None:
    before, ids = counted(metrics.PUBLISHED), [str(i) for i in range(500)]
    ours = publisher(tmp_path, broker)
    publish(ours, *ids)
    assert ours.flush(5)
    assert broker.ids == ids
    assert counted(metrics.PUBLISHED) - before == 500
    ours.close()


def test_a_broker_that_goes_and_comes_back_gets_everything_in_order(tmp_path: Path, broker: Broker) -> None:
    ours = publisher(tmp_path, broker)
    publish(ours, "0", "1")
    assert ours.flush(5)
    broker.away = True
    publish(ours, "2", "3")
    assert not ours.flush(0.3)
    publish(ours, "4")
    broker.away = False
    publish(ours, "5")
    assert ours.flush(5)
    assert broker.ids == ["0", "1", "2", "3", "4", "5"]
    ours.close()


def test_only_what_failed_is_sent_again(tmp_path: Path, broker: Broker) -> None:
    failures = iter([kafka_errors.KafkaTimeoutError()])
    broker.confirms = lambda id: next(failures, None) if id == "1" else None
    ours = publisher(tmp_path, broker)
    publish(ours, "0", "1", "2")
    assert ours.flush(5)
    assert sorted(broker.ids) == ["0", "1", "2"]
    ours.close()


def test_what_is_too_large_or_cannot_be_written_never_blocks_the_rest(tmp_path: Path, broker: Broker) -> None:
    broker.confirms = lambda id: kafka_errors.MessageSizeTooLargeError() if id == "1" else None
    large, odd = counted(metrics.DROPPED, "too_large"), counted(metrics.DROPPED, "unencodable")
    ours = publisher(tmp_path, broker)
    publish(ours, "0", "1")
    ours.publish(FEEDBACK, event("2", label="\ud800"), "2", 1)
    publish(ours, "3")
    assert ours.flush(5)
    assert broker.ids == ["0", "3"]
    assert counted(metrics.DROPPED, "too_large") - large == 1
    assert counted(metrics.DROPPED, "unencodable") - odd == 1
    ours.close()


def test_bounds_hold_and_what_is_beyond_is_counted(tmp_path: Path, broker: Broker) -> None:
    broker.away = True
    before = counted(metrics.DROPPED, "queue_full") + counted(metrics.DROPPED, "spool_full")
    kept = counted(metrics.SPOOLED)
    ours = publisher(tmp_path, broker, queue_events=10, spool_bytes=5_000)
    began = time.monotonic()
    publish(ours, *map(str, range(1_000)))
    assert time.monotonic() - began < 1
    ours.close()
    lost = counted(metrics.DROPPED, "queue_full") + counted(metrics.DROPPED, "spool_full") - before
    assert lost > 900
    assert lost + counted(metrics.SPOOLED) - kept == 1_000


def test_after_a_restart_the_spool_comes_first(tmp_path: Path, broker: Broker) -> None:
    broker.away = True
    ours = publisher(tmp_path, broker)
    publish(ours, "0", "1")
    ours.close()
    broker.away = False
    ours = Publisher(NOWHERE, PublisherSettings(tmp_path), "test", make=broker.producer)
    publish(ours, "2")
    ours.start()
    assert ours.flush(5)
    assert broker.ids == ["0", "1", "2"]
    publish(ours, "3")
    ours.close()
    publish(ours, "4")
    assert broker.ids == ["0", "1", "2", "3"]


def test_a_real_broker_that_was_away_at_first(tmp_path: Path, kafka: KafkaSettings) -> None:
    ids = [f"publisher-{i}" for i in range(300)]
    ours = Publisher(NOWHERE, PublisherSettings(tmp_path), "test")
    ours.start()
    publish(ours, *ids)
    assert not ours.flush(0.5)
    ours.close()
    ours = Publisher(kafka, PublisherSettings(tmp_path), "test")
    publish(ours, "publisher-last")
    ours.start()
    assert ours.flush(30)
    ours.close()
    found = [r.event.id for r in read(kafka, FEEDBACK, FeedbackGiven) if r.event.id.startswith("publisher-")]
    assert found == [*ids, "publisher-last"]
