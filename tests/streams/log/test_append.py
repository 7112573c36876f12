"""Appends to a broker that dies: what was given up is given up, in this process and in the log."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.errors import KafkaError

from deploy.stack import ports, processes
from deploy.stack.kafka import EmbeddedKafka
from deploy.stack.settings import cache_folder
from deploy.stack.topics import create_topics
from streams.events import RouteWritten
from streams.log import append
from streams.log.append import Writer
from streams.log.read import read
from streams.topics import ROUTES

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """One that may be killed."""
    kafka = EmbeddedKafka(tmp_path / "broker", ports.free(1)[0], cache_folder())
    kafka.start()
    try:
        create_topics(kafka.settings, [ROUTES])
        yield kafka
    finally:
        kafka.stop()


def test_what_a_dead_broker_did_not_take_is_not_sent_later_and_leaves_no_thread(
    broker: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later record may say otherwise: the former one would come behind it, and be the last."""
    monkeypatch.setattr(append, "CONFIRMED_S", 5.0)
    monkeypatch.setattr(append, "CLOSE_S", 0.5)
    before, writer = set(threading.enumerate()), Writer(broker.settings, "test")
    written(writer, 1)
    child = processes.find(broker.name, broker.data_dir)
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(KafkaError):
        written(writer, 2)
    assert set(threading.enumerate()) <= before
    broker.stop()
    broker.start()
    monkeypatch.setattr(append, "CONFIRMED_S", 60.0)
    written(writer, 3)
    writer.close()
    assert [each.event.generation for each in read(broker.settings, ROUTES, RouteWritten)] == [1, 3]


def written(writer: Writer, generation: int) -> None:
    route = RouteWritten(
        alias="a", generation=generation, champion="v", adapters={"v": "d"}, time_ms=generation, by="test"
    )
    writer.append(ROUTES, route, id=str(generation), time_ms=generation)
