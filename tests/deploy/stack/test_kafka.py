"""The embedded broker: records survive restarts, topics are what the table says."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack import ports
from deploy.stack.kafka import EmbeddedKafka, classpath, cluster_id
from deploy.stack.settings import cache_folder
from deploy.stack.topics import TopicsUnusable, create_topics
from streams import topics as t
from streams.events import RetrainRequested
from streams.log.append import Appender
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.topics import Topic

EXTRA = Topic("deploy.test.topics", RetrainRequested, "alias")


def request(id: str) -> RetrainRequested:
    return RetrainRequested(id=id, alias="a", champion="v", time_ms=1, alarm_id="x", since_ms=0, reason="r")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    broker = EmbeddedKafka(tmp_path / "kafka", ports.free(1)[0], cache_folder())
    yield broker
    broker.stop()


@pytest.mark.kafka
def test_records_survive_a_restart_on_another_port(broker: EmbeddedKafka) -> None:
    broker.start()
    create_topics(broker.settings, [t.REQUESTS])
    appender = Appender(broker.settings, "test")
    appender.append(t.REQUESTS, request("one"), id="one", time_ms=1)
    appender.close()
    broker.stop()
    moved = dataclasses.replace(broker, port=ports.free(1)[0])
    moved.start()
    try:
        assert [r.event.id for r in read(moved.settings, t.REQUESTS, RetrainRequested)] == ["one"]
    finally:
        moved.stop()
    assert not ports.answers(moved.port)


def test_every_topic_of_the_table_exists_and_a_second_call_changes_nothing(kafka: KafkaSettings) -> None:
    assert create_topics(kafka) == []


def test_a_changed_table_changes_the_topic(kafka: KafkaSettings) -> None:
    assert create_topics(kafka, [EXTRA]) == ["created deploy.test.topics with 1 partition(s)"]
    changed = dataclasses.replace(EXTRA, partitions=3, retention_h=None)
    assert create_topics(kafka, [changed]) == [
        "deploy.test.topics: 1 -> 3 partitions",
        "deploy.test.topics: retention.ms = -1",
    ]
    assert create_topics(kafka, [changed]) == []
    with pytest.raises(TopicsUnusable, match="has 3 partitions, expected 1"):
        create_topics(kafka, [EXTRA])


@pytest.mark.kafka
def test_a_broker_that_cannot_start_says_why(broker: EmbeddedKafka) -> None:
    formatted = broker.data_dir / "logs" / "meta.properties"
    formatted.parent.mkdir(parents=True)
    formatted.write_text("version=9\n")
    with pytest.raises(RuntimeError, match=r"(?s)kafka ended .*version"):
        broker.start()


@pytest.mark.kafka
def test_two_brokers_never_share_a_folder(broker: EmbeddedKafka) -> None:
    """Kafka's own lock comes late: a second one wrote into the first one's metadata, and that ended."""
    broker.start()
    second = dataclasses.replace(broker, port=ports.free(1)[0], name="second")
    with pytest.raises(RuntimeError, match=r"second is not started: another process holds .*/broker\.lock; stop that"):
        second.start()
    assert ports.answers(broker.port)
    broker.stop()
    second.start()
    second.stop()


def test_a_cluster_id_is_what_kafka_takes() -> None:
    assert {len(cluster_id()) for _ in range(50)} == {22}
    assert not any(cluster_id().startswith("-") for _ in range(300))


def test_the_jars_come_from_the_cache_the_second_time(kafka: KafkaSettings) -> None:
    assert classpath(cache_folder()) == classpath(cache_folder())
