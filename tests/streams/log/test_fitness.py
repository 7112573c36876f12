"""What is wrong with topics is named: found, expected, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from deploy.operator.topics import access, strimzi
from streams.log.fitness.found import FoundTopic
from streams.log.fitness.needs import NEEDS
from streams.log.fitness.problems import forbidden, unfit
from streams.log.settings import KafkaSettings
from streams.topics import ATTESTATIONS, FEEDBACK, INFERENCE, SCORES, SCORES_DLQ, STATE, TOPICS, Topic

ALL = frozenset({"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"})


def well(topic: Topic) -> FoundTopic:
    return FoundTopic(topic.name, topic.partitions, 3, topic.config | {"min.insync.replicas": "2"}, ALL)


WELL: dict[str, FoundTopic | str] = {topic.name: well(topic) for topic in TOPICS}


def other(topic: Topic, **config: str) -> dict[str, FoundTopic | str]:
    changed = {key.replace("_", "."): value for key, value in config.items()}
    return WELL | {topic.name: replace(well(topic), config={**well(topic).config, **changed})}


BAD: list[tuple[Mapping[str, FoundTopic | str], str]] = [
    (WELL | {INFERENCE.name: "does not exist"}, "topic inference.events does not exist; `homeostat topics apply`"),
    (
        WELL | {INFERENCE.name: "cannot be looked at (TopicAuthorizationFailedError)"},
        "(TopicAuthorizationFailedError); `homeostat topics plan --acls` prints what the role needs",
    ),
    (WELL | {FEEDBACK.name: replace(well(FEEDBACK), partitions=5)}, "inference.feedback has 5 partitions"),
    (other(INFERENCE, message_timestamp_type="CreateTime"), "= CreateTime, expected LogAppendTime"),
    (other(SCORES, max_message_bytes="1048588"), "max.message.bytes = 1048588, expected at least 16777216"),
    (other(STATE, cleanup_policy="delete"), "monitor.state has cleanup.policy = delete, expected compact"),
    (other(SCORES, cleanup_policy="compact,delete"), "= compact,delete, expected delete"),
    (other(next(t for t in TOPICS if t.name == "loop.ledger"), retention_ms="604800000"), "604800000, expected -1"),
    (other(next(t for t in TOPICS if t.name == "loop.ledger"), retention_bytes="1000000"), "= 1000000, expected -1"),
    (other(FEEDBACK, retention_bytes="1000000"), "retention.bytes = 1000000, expected -1"),
    (other(FEEDBACK, retention_ms="3600000"), "retention.ms = 3600000 and labels.wait_s is 604800"),
    (other(ATTESTATIONS, min_insync_replicas="4"), "min.insync.replicas = 4 and 3 copies of a partition: nothing"),
]


@pytest.mark.parametrize(("found", "expected"), BAD)
def test_each_fault_is_named_with_what_was_found_and_expected(
    found: Mapping[str, FoundTopic | str], expected: str
) -> None:
    (problem,) = unfit(TOPICS, found, 604_800)
    assert expected in problem


def test_topics_as_they_must_be_have_no_fault_nor_have_those_of_which_less_is_known() -> None:
    assert list(unfit(TOPICS, WELL, 604_800)) == []
    assert list(unfit(TOPICS, other(SCORES_DLQ, retention_bytes="1000000"), 604_800)) == []  # as its owner likes
    unknown = {name: replace(each, config={}) for name, each in WELL.items() if isinstance(each, FoundTopic)}
    assert list(unfit(TOPICS, unknown, 604_800)) == []


def test_what_a_role_may_not_do_is_named() -> None:
    found = WELL | {STATE.name: replace(well(STATE), operations=frozenset({"READ", "DESCRIBE"}))}
    (problem,) = forbidden(NEEDS["worker"], found)
    assert "may not Write topic monitor.state, expected for the role worker" in problem
    assert list(forbidden(NEEDS["trainer"], found)) == []
    silent = WELL | {STATE.name: replace(well(STATE), operations=None)}
    assert list(forbidden(NEEDS["worker"], silent)) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"bootstrap": "broker"}, "kafka.bootstrap has 'broker', expected brokers as host:port"),
        ({"bootstrap": "a:9092,kafka://b:9092"}, "kafka.bootstrap has 'kafka://b:9092', expected"),
        ({"prefix": "team a."}, "kafka.prefix is 'team a.': has ' '"),
        ({"replication": 1, "min_insync": 2}, "kafka.min_insync is 2 and kafka.replication 1: nothing could"),
        ({"replication": -1}, "kafka.replication is -1, expected 1 or more"),
        ({"partitions": {"inference.event": 3}}, "kafka.partitions has 'inference.event', expected names among"),
        ({"partitions": {"loop.ledger": 0}}, "kafka.partitions.loop.ledger is 0, expected 1 or more"),
        ({"partitions": {"inference.events": 8}}, "inference.events has 8 partitions, inference.feedback has 4"),
    ],
)
def test_settings_that_no_brokers_take_are_refused(given: dict[str, object], expected: str) -> None:
    with pytest.raises(ValueError, match="kafka") as raised:
        KafkaSettings(**given)  # type: ignore[arg-type]
    assert expected in str(raised.value)


def test_access_lists_are_the_table_and_nothing_else() -> None:
    kafka = KafkaSettings("b:9092", prefix="team.")
    (write, read, *rest) = access.commands(access.rules(kafka, "workers", "trainer"), "b:9092")
    for each in (write, read, *rest):
        assert "--allow-principal User:homeostat-trainer" in each
        assert "team." in each
        assert "team.monitor.state" not in each
    worker = list(access.commands(access.rules(kafka, "workers", "worker"), "b:9092"))
    assert worker[-1].endswith("--operation Read --group team.workers")
    with pytest.raises(ValueError, match=r"account is 'app', expected a name with \{role\}"):
        access.rules(kafka, "workers", "worker", "app")


def test_strimzi_gets_topics_and_users() -> None:
    kafka = KafkaSettings(prefix="Team_a.", replication=3, min_insync=2)
    (topic,) = kafka.shaped([STATE])
    made = strimzi.topic_resource(topic, kafka, "main")
    assert made["metadata"] == {"name": "team-a.monitor.state", "labels": {"strimzi.io/cluster": "main"}}
    assert made["spec"]["topicName"] == "Team_a.monitor.state"
    assert (made["spec"]["replicas"], made["spec"]["config"]["min.insync.replicas"]) == (3, "2")
    user = strimzi.user_resource("u", access.rules(kafka, "g", "worker"), "main", "tls")
    acls = user["spec"]["authorization"]["acls"]
    assert acls[-1]["resource"] == {"type": "group", "name": "Team_a.g", "patternType": "literal"}
    assert "operations" in acls[0]
