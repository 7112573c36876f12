"""Brokers that ask for a password: everybody who speaks to them has it, a wrong one is told, nobody tells it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog.testing
from kafka.errors import KafkaError, SaslAuthenticationFailedError, UnsupportedSaslMechanismError

from deploy.config.parse import ConfigError
from deploy.config.settings import Config, load
from deploy.stack import ports
from deploy.stack.settings import cache_folder
from deploy.stack.topics import create_topics
from monitor.settings import MonitorSettings, PolicySettings
from serving.routes.follower import Follower
from streams.events import FeedbackGiven, RetrainRequested, RouteWritten
from streams.journal import status
from streams.journal.shipper import Shipper
from streams.log import read as log
from streams.log.append import Appender, Writer
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from streams.settings import WorkerSettings
from streams.topics import FEEDBACK, REQUESTS, ROUTES
from streams.worker import app, checks
from tests.streams.support.journaled import event, journal, numbers, publish, running
from tests.streams.support.sasl_broker import PASSWORD, WRONG, SaslKafka, options
from tests.support.waiting import wait

SOON_S = 5.0  # far less than the 30 s that kafka-python tries


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SaslKafka]:
    port, sasl_port = ports.free(2)
    broker = SaslKafka(tmp_path_factory.mktemp("sasl"), port, cache_folder(), sasl_port=sasl_port)
    broker.start()
    try:
        create_topics(broker.as_user())
        yield broker
    finally:
        broker.stop()


@pytest.fixture(autouse=True)
def nobody_tells_it(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    with caplog.at_level(logging.WARNING), structlog.testing.capture_logs() as logged:
        yield
    told = capsys.readouterr()
    for secret in (PASSWORD, WRONG):
        assert secret not in caplog.text + str(logged) + told.out + told.err


def asked(id: str) -> RetrainRequested:
    return RetrainRequested(id=id, alias="a", champion="v", time_ms=1, alarm_id="x", since_ms=0, reason="r")


def route(generation: int) -> RouteWritten:
    return RouteWritten(alias="a", generation=generation, champion="v", adapters={"v": "d"}, time_ms=1, by="test")


def written(settings: KafkaSettings, generation: int) -> None:
    writer = Writer(settings, "test")
    writer.append(ROUTES, route(generation), id=str(generation), time_ms=1)
    writer.close()


@pytest.mark.kafka
def test_who_has_the_password_reads_and_writes(broker: SaslKafka) -> None:
    settings = broker.as_user()
    appender = Appender(settings, "test")
    appender.append(REQUESTS, asked("one"), id="one", time_ms=1)
    appender.close()
    assert [record.event.id for record in log.read(settings, REQUESTS, RetrainRequested)] == ["one"]
    partitions = log.partition_counts(settings, [REQUESTS])[REQUESTS.name]
    assert sum(len(log.span(settings, REQUESTS, p)) for p in range(partitions)) == log.ends(settings, REQUESTS) == 1
    assert create_topics(settings) == []


Use = Callable[[KafkaSettings], object]
USES: dict[str, Use] = {
    "read": lambda settings: log.read(settings, REQUESTS, RetrainRequested),
    "span": lambda settings: log.span(settings, REQUESTS, 0),
    "ends": lambda settings: log.ends(settings, REQUESTS),
    "partition_counts": lambda settings: log.partition_counts(settings, [REQUESTS]),
    "append": lambda settings: Writer(settings, "test").append(REQUESTS, asked("two"), id="two", time_ms=1),
    "create_topics": create_topics,
    "check": checks.check,
}


@pytest.mark.kafka
@pytest.mark.parametrize("name", USES)
def test_a_wrong_password_is_told_at_once(broker: SaslKafka, name: str) -> None:
    began = time.monotonic()
    with pytest.raises(SaslAuthenticationFailedError, match="Invalid username or password") as raised:
        USES[name](broker.as_user(WRONG))
    assert time.monotonic() - began < SOON_S
    assert WRONG not in repr(raised.value) + str(raised.value)


@pytest.mark.kafka
def test_a_way_to_say_it_that_the_broker_does_not_know_is_told_at_once(broker: SaslKafka) -> None:
    with pytest.raises(UnsupportedSaslMechanismError):
        log.ends(broker.as_user(mechanism="SCRAM-SHA-256"), REQUESTS)


@pytest.mark.kafka
def test_a_broker_that_is_away_is_still_waited_for() -> None:
    settings = KafkaSettings(f"127.0.0.1:{ports.free(1)[0]}", {**options(), "bootstrap_timeout_ms": 300})
    with pytest.raises(KafkaError, match="Unable to bootstrap"):
        log.ends(settings, REQUESTS)


@pytest.mark.kafka
def test_the_shipper_ships_with_the_password_and_keeps_everything_without(broker: SaslKafka, tmp_path: Path) -> None:
    ours = journal(tmp_path)
    publish(ours, numbers(20))
    with running(Shipper(broker.as_user(WRONG), tmp_path, "test")):
        wait(lambda: "Authentication failed" in told(tmp_path).error)
        assert not told(tmp_path).connected
        assert told(tmp_path).lag_bytes
    shipper = Shipper(broker.as_user(), tmp_path, "test")
    with running(shipper):
        wait(shipper.drained)
    ours.close()
    found = log.read(broker.as_user(), FEEDBACK, FeedbackGiven)
    assert sorted(record.event.id for record in found) == sorted(numbers(20))
    assert not any(PASSWORD.encode() in path.read_bytes() for path in tmp_path.iterdir())


def told(folder: Path) -> status.ShipperStatus:
    found = status.read(folder)
    return found or status.ShipperStatus(
        time_ms=0, connected=True, lag_bytes=0, published={}, dropped={}, damaged_bytes=0
    )


@pytest.mark.kafka
def test_the_follower_follows_with_the_password_and_says_what_is_wrong_without(
    broker: SaslKafka, tmp_path: Path
) -> None:
    written(broker.as_user(), 1)
    follower = Follower(broker.as_user(), tmp_path / "routes.json")
    follower.start()
    assert follower.wait(10.0)
    written(broker.as_user(), 2)
    wait(lambda: follower.table().routes["a"].generation == 2)
    follower.close()
    lost = Follower(broker.as_user(WRONG), tmp_path / "routes.json")
    with structlog.testing.capture_logs() as logged:
        lost.start()
        wait(lambda: any("Authentication failed" in entry.get("error", "") for entry in list(logged)))
        assert lost.table().routes["a"].generation == 2
        lost.close()


@pytest.mark.kafka
async def test_the_worker_works_with_the_password(broker: SaslKafka, tmp_path: Path) -> None:
    settings, storage = WorkerSettings(app_id="sasl"), Storage(var=tmp_path)
    stop = asyncio.Event()
    working = asyncio.create_task(
        app.run(broker.as_user(), settings, storage, MonitorSettings(), PolicySettings(), stop)
    )
    appender = Appender(broker.as_user(), "test")
    appender.append(FEEDBACK, event("judged"), id="judged", time_ms=1)
    appender.close()
    async with asyncio.timeout(40):
        while not any((tmp_path / "lake").rglob("*.parquet")):
            assert not working.done()
            await asyncio.sleep(0.1)
    stop.set()
    await working


# what needs no broker


@pytest.mark.slow
@pytest.mark.parametrize("name", ["read", "ends", "append", "partition_counts"])
def test_trying_again_and_again_leaves_nothing_behind(name: str, caplog: pytest.LogCaptureFixture) -> None:
    away = KafkaSettings(f"127.0.0.1:{ports.free(1)[0]}", {"bootstrap_timeout_ms": 50})
    caplog.set_level(logging.CRITICAL, "kafka")  # what is logged here keeps the errors, and they their sockets
    counts = []
    for _ in range(5):
        with pytest.raises(KafkaError):
            USES[name](away)
        gc.collect()
        counts.append(threading.active_count() + len(os.listdir("/proc/self/fd")))
    assert counts[-1] <= counts[0]


def test_a_broker_that_starts_again_is_found_within_two_seconds_unless_told_otherwise() -> None:
    assert KafkaSettings().client["reconnect_backoff_max_ms"] == 2_000
    assert KafkaSettings(options={"reconnect_backoff_max_ms": 9}).client["reconnect_backoff_max_ms"] == 9


def test_settings_do_not_show_their_password() -> None:
    config = replace(Config(), kafka=KafkaSettings("b:9092", options()))
    for shown in (repr(config), str(config), repr(config.kafka), f"{config.kafka}"):
        assert PASSWORD not in shown
    assert "b:9092" in repr(config)


@pytest.mark.parametrize("lacking", ["sasl_mechanism", "sasl_plain_username", "sasl_plain_password"])
def test_sasl_without_what_it_needs_is_told_by_name(lacking: str) -> None:
    given = {name: value for name, value in options().items() if name != lacking}
    with pytest.raises(ValueError, match=f"has no {lacking}") as raised:
        KafkaSettings(options=given)
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize(
    "environment",
    [
        {"HOMEOSTAT__KAFKA": PASSWORD},
        {"HOMEOSTAT__KAFKA__OPTIONS": f"sasl_plain_password={PASSWORD}"},
        {"HOMEOSTAT__KAFKA__OPTIONS": PASSWORD, "HOMEOSTAT__KAFKA__OPTIONS__SASL_MECHANISM": "PLAIN"},
        {"HOMEOSTAT__KAFKA__SASL_PLAIN_PASSWORD": PASSWORD},
        {"HOMEOSTAT__KAFKA__OPTIONS__SECURITY_PROTOCOL": "SASL_SSL", "HOMEOSTAT__KAFKA__OPTIONS__X_PASSWORD": PASSWORD},
    ],
)
def test_a_wrong_configuration_does_not_show_its_password(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as raised:
        load(None, environment)
    assert PASSWORD not in str(raised.value)
    assert "kafka" in str(raised.value).lower()


def test_a_password_comes_from_the_environment_too() -> None:
    names = {f"HOMEOSTAT__KAFKA__OPTIONS__{name.upper()}": value for name, value in options().items()}
    assert load(None, names).kafka.options == options()
