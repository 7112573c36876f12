"""What `homeostat topics` prints about topics of a real broker that are not as they should be, and what it makes of
them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from deploy.cli import main
from deploy.config.toml import dump
from deploy.stack.topics import create_topics
from streams.log.settings import KafkaSettings
from streams.topics import FEEDBACK, INFERENCE, LEDGER, ROUTES, SCORES, TOPICS, WINDOWS
from tests.support.waiting import wait

PREFIX = "checked."
MIB, HOUR_MS, NINE_DAYS_MS = 1_048_588, 3_600_000, 777_600_000


@pytest.fixture(scope="module")
def ours(kafka: KafkaSettings) -> KafkaSettings:
    """Topics of this file's own, as they should be."""
    settings = replace(kafka, prefix=PREFIX)
    create_topics(settings)
    return settings


@pytest.fixture
def admin(ours: KafkaSettings) -> Iterator[Any]:
    with closing(KafkaAdminClient(**ours.client)) as admin:
        yield admin


@pytest.fixture
def config(ours: KafkaSettings, tmp_path: Path) -> Path:
    path = tmp_path / "homeostat.toml"
    stack = {"var": str(tmp_path), "embedded_kafka": False}
    path.write_text(dump({"stack": stack, "kafka": {"bootstrap": ours.bootstrap, "prefix": PREFIX}}))
    return path


@pytest.fixture
def run(config: Path) -> Callable[..., Result]:
    return lambda *given: CliRunner().invoke(main, ["topics", *given, "--config", str(config)])


# the topic, what is wrong, what `check` prints, what a worker adds to it, what `plan` and `apply` print
WRONG: dict[str, tuple[str, Mapping[str, str], str, str, str]] = {
    "producers' times": (
        INFERENCE.name,
        {"message.timestamp.type": "CreateTime"},
        "inference.events has message.timestamp.type = CreateTime, expected LogAppendTime",
        "the judge takes records in the order in which the log took them; `homeostat topics apply` sets it",
        "inference.events: message.timestamp.type = LogAppendTime",
    ),
    "1 MiB": (
        SCORES.name,
        {"max.message.bytes": str(MIB)},
        f"monitor.scores has max.message.bytes = {MIB}, expected 16777216",
        f"max.message.bytes = {MIB}, expected at least 16777216: larger records would be set aside",
        "monitor.scores: max.message.bytes = 16777216",
    ),
    "kept for an hour": (
        FEEDBACK.name,
        {"retention.ms": str(HOUR_MS)},
        f"inference.feedback has retention.ms = {HOUR_MS}, expected {NINE_DAYS_MS}",
        f"and labels.wait_s is 604800, expected at least {NINE_DAYS_MS}",
        f"inference.feedback: retention.ms = {NINE_DAYS_MS}",
    ),
    "state that is forgotten": (
        LEDGER.name,
        {"retention.ms": str(HOUR_MS)},
        f"loop.ledger has retention.ms = {HOUR_MS}, expected -1",
        "its records are state, and kept for ever",
        "loop.ledger: retention.ms = -1",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_setting_is_named_and_mended(run: Callable[..., Result], admin: Any, case: str) -> None:
    name, wrong, check, worker, plan = WRONG[case]
    admin.alter_configs([ConfigResource("TOPIC", PREFIX + name, wrong)])
    wait(lambda: run("check").exit_code == 1)
    assert run("check").stdout.splitlines() == [check]
    as_worker = run("check", "--as", "worker" if name != LEDGER.name else "controller")
    assert (as_worker.exit_code, as_worker.stdout.count("\n")) == (1, 1)
    assert worker in as_worker.stdout
    planned = run("plan")
    assert (planned.exit_code, planned.stdout.splitlines()) == (0, [plan])
    assert run("check").exit_code == 1, "a plan changes nothing"
    applied = run("apply")
    assert (applied.exit_code, applied.stdout.splitlines()) == (0, [plan])
    mended(run)


def test_one_partition_too_many_remains_until_the_settings_want_it(
    run: Callable[..., Result], admin: Any, config: Path
) -> None:
    admin.create_partitions({PREFIX + WINDOWS.name: 3})
    wait(lambda: run("check").exit_code == 1)
    remains = "topic monitor.windows has 3 partitions, expected 2: Kafka cannot remove partitions; "
    assert run("check").stdout.splitlines() == ["monitor.windows has 3 partitions, expected 2"]
    planned = run("plan")
    assert planned.exit_code == 0
    assert planned.stdout.startswith(remains)
    applied = run("apply")
    assert (applied.exit_code, applied.stdout) == (1, "nothing to do\n")
    assert applied.stderr.startswith(remains)
    before, written = config.read_text(), '"monitor.windows" = 3'
    assert f"; write {written} beneath [kafka.partitions], or" in applied.stderr
    config.write_text(f"{before}\n[kafka.partitions]\n{written}\n")
    mended(run)
    config.write_text(before)
    admin.delete_topics([PREFIX + WINDOWS.name])
    wait(lambda: "does not exist" in run("check").stdout)
    assert run("apply").stdout.splitlines() == ["created monitor.windows with 2 partition(s)"]
    mended(run)


def test_topics_that_belong_together_and_are_cut_differently_stop_a_worker(
    run: Callable[..., Result], admin: Any
) -> None:
    admin.create_partitions({PREFIX + INFERENCE.name: 5})
    wait(lambda: run("check").exit_code == 1)
    cut = "inference.events has 5 partitions, inference.feedback has 4 partitions, expected as many of each"
    found = run("check").stdout.splitlines()
    assert found[0].startswith(cut)
    assert found[1:] == ["inference.events has 5 partitions, expected 4"]
    as_worker = run("check", "--as", "worker")
    assert as_worker.exit_code == 1
    assert as_worker.stdout.startswith(cut)
    admin.delete_topics([PREFIX + INFERENCE.name])
    wait(lambda: "does not exist" in run("check").stdout)
    assert run("apply").exit_code == 0
    mended(run)


def test_a_missing_topic_is_named_and_created(run: Callable[..., Result], admin: Any) -> None:
    admin.delete_topics([PREFIX + ROUTES.name])
    wait(lambda: run("check").exit_code == 1)
    assert run("check").stdout.splitlines() == ["serving.routes does not exist"]
    as_worker = run("check", "--as", "worker")
    assert as_worker.exit_code == 1
    assert "topic serving.routes does not exist; `homeostat topics apply` creates the topics" in as_worker.output
    assert run("plan").stdout.splitlines() == ["create serving.routes with 1 partition(s)"]
    applied = run("apply")
    assert (applied.exit_code, applied.stdout.splitlines()) == (0, ["created serving.routes with 1 partition(s)"])
    mended(run)


def test_an_unknown_role_is_no_role(run: Callable[..., Result]) -> None:
    wrong = run("check", "--as", "waiter")
    assert wrong.exit_code == 2
    assert "'waiter', expected one of gateway, worker, " in wrong.stderr


def test_without_a_broker_a_plan_says_so_and_resources_are_printed(tmp_path: Path) -> None:
    config = tmp_path / "homeostat.toml"
    config.write_text(dump({"stack": {"embedded_kafka": False}, "kafka": {"bootstrap": "127.0.0.1:1"}}))
    for name in ("plan", "apply", "check"):
        away = CliRunner().invoke(main, ["topics", name, "--config", str(config)])
        assert away.exit_code == 1
        assert "127.0.0.1:1" in away.stderr
    printed = CliRunner().invoke(main, ["topics", "plan", "--strimzi", "--config", str(config)])
    assert printed.exit_code == 0
    assert printed.stdout.count("kind: KafkaTopic") == len(TOPICS)


def mended(run: Callable[..., Result]) -> None:
    """All is well: the broker notes a change a moment after it took it."""
    wait(lambda: run("check").exit_code == 0)
    assert run("check").stdout == "as they should be\n"
    assert run("plan").stdout == "nothing to do\n"
