"""Journals, brokers and shippers for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import errors as kafka_errors

from streams import codec
from streams.events import FeedbackGiven
from streams.journal.frames import JournalRecord
from streams.journal.reader import Backlog
from streams.journal.segments import JournalPosition
from streams.journal.shipper import Shipper
from streams.journal.writer import Journal, JournalSettings
from streams.kinds import Arm
from streams.topics import FEEDBACK


def event(id: str, label: str = "x") -> FeedbackGiven:
    return FeedbackGiven(
        id=id, event_id="one-key", time_ms=1, alias="a", version="v", arm=Arm.CHAMPION, by="k", label=label
    )


def journal(folder: Path, **changes: Any) -> Journal:
    return Journal(folder, JournalSettings(**changes), "gateway/test")


def publish(to: Journal, ids: Iterable[object]) -> list[bool]:
    return [to.publish(FEEDBACK, event(str(id)), str(id), 1) for id in ids]


def waiting(folder: Path) -> list[JournalRecord]:
    """Everything whole in the folder that a shipper would come to by now, from the first segment on."""
    backlog, found = Backlog(folder, JournalPosition(0)), list[JournalRecord]()
    while (taken := backlog.take(1_000, 1 << 20)) is not None:
        found += taken.records
    backlog.close()
    return found


def ids(records: Iterable[JournalRecord]) -> list[str]:
    return [codec.decode(FeedbackGiven, record.value).id for record in records]


def numbers(count: int, first: int = 0) -> list[str]:
    return [str(number) for number in range(first, first + count)]


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.journal"))


class Sent:
    """kafka-python's future of a record."""

    def __init__(self, error: Exception | None) -> None:
        self.is_done, self.exception = True, error


class Broker:
    """What a producer promises: each record is confirmed or fails. `away`: it cannot be reached. Once it has refused
    something, a producer fails everything until it is made anew."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.sent = 0
        self.away = False
        self.refuses: Callable[[str], Exception | None] = lambda id: None
        self._refused: Exception | None = None

    def producer(self) -> Broker:
        if self.away:
            raise kafka_errors.KafkaTimeoutError
        self._refused = None
        return self

    def send(self, topic: str, value: bytes, key: bytes, headers: codec.Headers) -> Sent:
        self.sent += 1
        id = dict(headers)["ce_id"].decode()
        error = self._refused or (kafka_errors.KafkaTimeoutError() if self.away else self.refuses(id))
        if error is None:
            self.ids.append(id)
        elif isinstance(error, kafka_errors.MessageSizeTooLargeError):
            self._refused = error
        return Sent(error)

    def flush(self, timeout: float) -> None:
        """Nothing is ever under way."""

    def close(self, timeout: float) -> None:
        """Nothing to end."""


@contextmanager
def running(shipper: Shipper) -> Iterator[None]:
    """Ships while entered."""
    stop = threading.Event()
    thread = threading.Thread(target=shipper.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()
