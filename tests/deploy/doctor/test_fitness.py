"""The doctor names what a role may not do at the brokers, which of its topics are unfit, and which ports are open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.config.admin_settings import AdminSettings
from deploy.config.settings import Config
from deploy.doctor import exposure, standing
from deploy.doctor.findings import Finding
from deploy.doctor.fitness import fit
from deploy.stack.settings import StackSettings
from streams.log.fitness import role as fitness
from streams.log.fitness.found import FoundTopic
from streams.log.security.settings import SecuritySettings
from streams.log.settings import KafkaSettings
from streams.topics import ALARMS, INFERENCE, TOPICS, Topic
from tests.serving.support.certificates import Certificates

ALL = frozenset({"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"})
PLAN = "`homeostat topics plan --acls` prints what the role needs"


def as_it_should_be(topic: Topic) -> FoundTopic:
    return FoundTopic(topic.name, topic.partitions, 3, topic.config, ALL)


WELL: dict[str, FoundTopic | str] = {topic.name: as_it_should_be(topic) for topic in TOPICS}


def bad(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    return [(each.detail, each.remedy) for each in findings if not each.ok]


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> dict[str, FoundTopic | str]:
    """What brokers answer, which a test may change."""
    answered = dict(WELL)
    monkeypatch.setattr(fitness, "topics_found", lambda kafka, names, keys: {name: answered[name] for name in names})
    monkeypatch.setattr(fitness, "group_found", lambda kafka, group: ALL)
    return answered


def looked_at(role: str, var: Path) -> list[tuple[str, str]]:
    config = Config(StackSettings(var=var, embedded_kafka=False))
    return bad(fit(role, config, config.kafka))


def test_what_a_role_may_not_do_is_named_and_what_others_may_not_is_none_of_its_business(
    brokers: dict[str, FoundTopic | str], tmp_path: Path
) -> None:
    assert looked_at("renderer", tmp_path) == looked_at("worker", tmp_path) == []
    brokers[INFERENCE.name] = replace(as_it_should_be(INFERENCE), operations=frozenset({"DESCRIBE"}))
    assert looked_at("renderer", tmp_path) == []
    told = f"this user may not Read topic {INFERENCE.name}, expected for the role worker"
    assert looked_at("worker", tmp_path) == [(told, PLAN)]


def test_a_topic_with_a_wrong_setting_or_none_at_all_is_named(
    brokers: dict[str, FoundTopic | str], tmp_path: Path
) -> None:
    changed = {**ALARMS.config, "max.message.bytes": "1000"}
    brokers[ALARMS.name] = replace(as_it_should_be(ALARMS), config=changed)
    ((detail, remedy),) = looked_at("renderer", tmp_path)
    assert detail.startswith(f"topic {ALARMS.name} has max.message.bytes = 1000, expected at least {ALARMS.max_bytes}")
    assert remedy == "`homeostat topics apply` sets it"
    brokers[ALARMS.name] = "does not exist"
    ((detail, remedy),) = looked_at("renderer", tmp_path)
    assert (detail, remedy) == (
        f"topic {ALARMS.name} does not exist",
        "`homeostat topics apply` creates the topics",
    )


def test_a_topic_that_an_account_may_not_look_at_is_not_one_to_create(
    brokers: dict[str, FoundTopic | str], tmp_path: Path
) -> None:
    brokers[ALARMS.name] = "cannot be looked at (TopicAuthorizationFailedError)"
    told = f"topic {ALARMS.name} cannot be looked at (TopicAuthorizationFailedError)"
    assert looked_at("renderer", tmp_path) == [(told, PLAN)]


def test_a_group_that_the_workers_may_not_read_is_named(
    brokers: dict[str, FoundTopic | str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitness, "group_found", lambda kafka, group: frozenset())
    told = "this user may not Read group homeostat-worker, expected for the role worker"
    assert looked_at("worker", tmp_path) == [(told, PLAN)]
    assert looked_at("trainer", tmp_path) == []


@pytest.mark.parametrize("role", standing.LOOKS)
def test_certificates_for_brokers_that_end_soon_are_named_to_each_role(role: str, tmp_path: Path) -> None:
    made = Certificates(tmp_path)  # good for a day
    security = SecuritySettings(ca=made.ca, cert=made.cert, key=made.key)
    config = Config(
        StackSettings(var=tmp_path / "var", embedded_kafka=False),
        KafkaSettings(bootstrap="127.0.0.1:1", security=security),
    )
    found = [each.detail.partition(" = ")[0] for each in standing.kafka(role, config) if each.name == "certificates"]
    assert sorted(found) == ["kafka.security.ca", "kafka.security.cert"]


@pytest.mark.parametrize(("bind", "warned"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True), ("::", True)])
def test_admin_ports_that_others_reach_without_tls_are_named_and_hinder_nothing(
    bind: str, warned: bool, tmp_path: Path
) -> None:
    stack = StackSettings(var=tmp_path, bind=bind, more_gateway_admin_ports=(9111,))
    plain = Config(stack)
    secured = Config(stack, admin=AdminSettings(tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem"))
    found = [*exposure.gateways(plain), *exposure.admin_api(plain)]
    assert [each.detail.partition(" takes")[0] for each in found] == (
        [f"{bind}:9101", f"{bind}:9111", f"{bind}:9108"] if warned else []
    )
    assert not any(each.needed or each.ok for each in found)
    assert list(exposure.admin_api(secured)) == []
