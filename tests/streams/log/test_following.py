"""Following a topic, over a log that fails as the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka.errors import KafkaError

from streams.events import RouteWritten
from streams.log import following as module
from streams.log.following import Following
from streams.log.read import Record
from streams.log.settings import KafkaSettings
from streams.topics import ROUTES
from tests.support.waiting import wait


def record(offset: int) -> Record[RouteWritten]:
    route = RouteWritten(alias="support", generation=offset + 1, champion="c", adapters={}, time_ms=0, by="test")
    return Record(0, offset, 0, route)


class Log:
    """Each reading yields its records, is idle once, and ends with its error; the last one waits for `stop`."""

    def __init__(self, *readings: tuple[list[int], Exception | None]) -> None:
        self.readings, self.from_end = list(readings), list[bool]()

    def follow(self, *_: object, stop: Callable[[], bool], idle: Callable[[], None], **more: Any) -> Iterator[Any]:
        self.from_end.append(more["from_end"])
        offsets, error = self.readings.pop(0)
        for offset in offsets:
            yield record(offset)
        if error is not None and not offsets:
            raise error
        idle()
        if error is not None:
            raise error
        yield record(offsets[-1] + 1)
        while not stop():
            threading.Event().wait(0.005)


class Taken:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, log: Log, **options: Any) -> None:
        monkeypatch.setattr(module, "follow", log.follow)
        monkeypatch.setattr(module, "BACK_OFF_S", (0.001, 0.004))
        self.story: list[str] = []
        self.stop = threading.Event()
        self.following = Following(
            KafkaSettings(),
            ROUTES,
            RouteWritten,
            lambda each: self.story.append(f"{each.offset}{'!' if self.following.live else ''}"),
            self.stop,
            begin=lambda: self.story.append("begin"),
            caught_up=lambda: self.story.append("caught up"),
            **options,
        )

    def run(self, ready: Callable[[], bool]) -> list[str]:
        self.following.start()
        try:
            wait(ready)
        finally:
            self.stop.set()
            self.following.join()
        return self.story


def test_after_trouble_the_topic_is_read_from_its_start_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(([], KafkaError("away")), ([0, 1], KafkaError("gone")), ([0, 1], None))
    taken = Taken(monkeypatch, log)
    story = taken.run(lambda: len(taken.story) >= 9)
    assert story == ["begin", "begin", "0", "1", "caught up", "begin", "0", "1", "caught up", "2!"]
    assert taken.following.well
    assert taken.following.wait(0.0)


def test_it_is_not_well_until_the_end_is_reached_again(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Taken(monkeypatch, Log(([0], KafkaError("gone")), *[([], KafkaError("away"))] * 1_000))
    taken.run(lambda: taken.story.count("begin") >= 3)
    assert not taken.following.well
    assert not taken.following.live


def test_trouble_of_the_taker_is_trouble_too(monkeypatch: pytest.MonkeyPatch) -> None:
    log, fails = Log(([0], None), ([0], None)), [True]
    taken = Taken(monkeypatch, log)
    take = taken.following._take

    def once(each: Record[RouteWritten]) -> None:
        if fails:
            fails.clear()
            raise ValueError("not now")
        take(each)

    taken.following._take = once
    assert taken.run(lambda: "1!" in taken.story) == ["begin", "begin", "0", "caught up", "1!"]


def test_whether_to_leave_out_what_is_there_is_asked_before_each_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    log, answers = Log(([0], KafkaError("gone")), ([0], None)), [True, False]
    taken = Taken(monkeypatch, log, from_end=lambda: answers.pop(0))
    taken.run(lambda: "1!" in taken.story)
    assert log.from_end == [True, False]
