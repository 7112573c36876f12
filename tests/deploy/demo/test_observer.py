"""The demo's observer through trouble with the broker: it keeps each record once, and misses none."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kafka.errors import KafkaError

from deploy.demo.observer import Observer
from deploy.stack import ports
from deploy.stack.kafka import EmbeddedKafka
from deploy.stack.settings import cache_folder
from deploy.stack.topics import create_topics
from streams.events import RetrainReported, RouteWritten
from streams.kinds import RetrainStatus
from streams.log import following
from streams.log.append import Writer
from streams.log.read import Record
from streams.log.settings import KafkaSettings
from streams.topics import RESULTS, ROUTES, Topic
from tests.support.waiting import wait


def route(generation: int) -> RouteWritten:
    return RouteWritten(alias="demo", generation=generation, champion="c", adapters={}, time_ms=0, by="test")


def result(time_ms: int) -> RetrainReported:
    return RetrainReported(request_id="r", alias="demo", status=RetrainStatus.TRAINING, time_ms=time_ms, by="test")


def test_a_reading_that_fails_half_way_loses_nothing_and_repeats_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = [0]

    def follow(kafka: object, topic: Topic, *_: object, stop: Callable[[], bool], **__: object) -> Iterator[Any]:
        if topic == ROUTES:
            tries[0] += 1
            for offset in range(2 * tries[0]):
                yield Record(0, offset, 0, route(offset + 1))
            if tries[0] < 3:
                raise KafkaError("it stutters")
        while not stop():
            threading.Event().wait(0.005)

    monkeypatch.setattr(following, "follow", follow)
    monkeypatch.setattr(following, "BACK_OFF_S", (0.001, 0.002))
    observer = Observer(KafkaSettings())
    observer.start()
    try:
        wait(lambda: len(observer.seen.routes) == 6)
    finally:
        observer.close()
    assert [each.generation for each in observer.seen.routes] == [1, 2, 3, 4, 5, 6]


@pytest.mark.kafka
@pytest.mark.timeout(300)
def test_a_broker_that_dies_ends_no_observer() -> None:
    with tempfile.TemporaryDirectory(prefix="homeostat-kafka-", ignore_cleanup_errors=True) as folder:
        broker = EmbeddedKafka(Path(folder), ports.free(1)[0], cache_folder())
        broker.start()
        create_topics(broker.settings)
        append(broker.settings, 1)
        broker.stop()
        observer = Observer(replace(broker.settings, options={"bootstrap_timeout_ms": 500}))
        observer.start()
        try:
            wait(lambda: not any(each.well for each in observer._following))
            broker.start()
            append(broker.settings, 2)
            wait(lambda: len(observer.seen.routes) == len(observer.seen.results) == 2, most_s=120)
        finally:
            observer.close()
            broker.stop()
    assert [each.generation for each in observer.seen.routes] == [1, 2]
    assert [each.time_ms for each in observer.seen.results] == [1, 2]


def append(kafka: KafkaSettings, number: int) -> None:
    writer = Writer(kafka, "test")
    writer.append(RESULTS, result(number), id=f"result-{number}", time_ms=number)
    writer.append(ROUTES, route(number), id=f"route-{number}", time_ms=number)
    writer.close()
