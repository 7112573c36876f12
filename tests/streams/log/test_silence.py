"""A client's calls end with the process, though a broker takes connections and says nothing. No limit of upstream's own
ends them here: all are an hour."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from kafka.errors import KafkaConnectionError

from streams.events import RouteWritten
from streams.log import silence
from streams.log.ending import ENDING
from streams.log.patience import BrokersSilent
from streams.log.read import read
from streams.log.settings import HurriedKafka, KafkaSettings
from streams.topics import ROUTES
from tests.support.waiting import PATIENCE_S

HOUR_MS = 3_600_000
LONG = {"bootstrap_timeout_ms": HOUR_MS, "request_timeout_ms": HOUR_MS, "connections_max_idle_ms": 2 * HOUR_MS}


@pytest.fixture
def mute() -> Iterator[KafkaSettings]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield KafkaSettings(f"127.0.0.1:{server.getsockname()[1]}", LONG)


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    monkeypatch.setattr(silence, "ENDING_S", 0.3)
    yield ENDING
    ENDING.clear()


def test_a_call_ends_with_its_process(mute: KafkaSettings, ending: threading.Event) -> None:
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read, mute, ROUTES, RouteWritten)
        ending.set()
        with pytest.raises(KafkaConnectionError, match="the process is to end, and the brokers say nothing"):
            reading.result(PATIENCE_S)


def test_a_command_gives_up_and_names_the_brokers(mute: KafkaSettings) -> None:
    hurried = HurriedKafka.of(mute, {"bootstrap_timeout_ms": 1, "retry_backoff_ms": 50})
    assert (hurried.options["bootstrap_timeout_ms"], hurried.options["retry_backoff_ms"]) == (HOUR_MS, 50)
    assert (hurried.quiet_s, mute.quiet_s) == (5.0, None)
    with pytest.raises(BrokersSilent, match=rf"Kafka at {mute.bootstrap} answered, and then nothing more for 0\.3 s"):
        read(HurriedKafka(mute.bootstrap, LONG, quiet_s=0.3), ROUTES, RouteWritten)
