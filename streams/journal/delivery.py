"""Records to the broker, each sent again until its outcome is known: confirmed, or refused for good."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from kafka import errors as kafka_errors

from streams.journal.frames import JournalRecord
from streams.journal.producer import DELIVERY_S, Make
from streams.log.rejects import RejectedRecord, Rejects

log = structlog.get_logger()

BEAT_S = 0.25
SPARE_S = 30.0  # beyond the producer's own time: something hangs
RETRY_S = (0.5, 10.0)  # first and longest wait before the broker is tried again
CLOSE_S = 1.0
TOO_LARGE = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)
HOPELESS = (*TOO_LARGE, kafka_errors.InvalidRecordError, kafka_errors.InvalidTimestampError)

Beat = Callable[[], bool]  # called while nothing comes; False gives up waiting
SendOutcome = BaseException | None  # None: confirmed


@dataclass(slots=True)
class Delivered:
    """The outcome of some records: the first `count` of them are done. Of the rest some may be confirmed too."""

    count: int = 0
    published: Counter[str] = field(default_factory=Counter)  # by topic
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)  # by topic and reason


class Delivery:
    """The sender of records over one connection, made when it is first needed and again after trouble. `report` is
    called while the broker keeps the shipper waiting. A record that the broker refuses for good is set apart."""

    def __init__(self, make: Make, report: Callable[[], None], rejects: Rejects) -> None:
        self._make, self._report, self._rejects = make, report, rejects
        self._producer: Any = None
        self.error = ""  # the last trouble, while it lasts

    @property
    def connected(self) -> bool:
        """Return whether there is a connection without trouble."""
        return self._producer is not None and not self.error

    def deliver(self, records: Sequence[JournalRecord], stop: threading.Event) -> Delivered:
        """Send records until each is confirmed or hopeless, or `stop` is set. Never raises for a broker's errors."""
        delivered, retry_s = Delivered(), RETRY_S[0]
        waiting = deque([list(range(len(records)))])
        while waiting and not stop.is_set():
            failed = self._try(records, waiting.popleft(), delivered, stop)
            if any(isinstance(error, HOPELESS) for error in failed.values()):
                waiting.extendleft(reversed(self._narrow(records, failed, delivered)))
            elif failed:
                waiting.appendleft(list(failed))
                self._wait(records, failed, retry_s, stop)
                retry_s = min(2 * retry_s, RETRY_S[1])
        delivered.count = min((i for group in waiting for i in group), default=len(records))
        return delivered

    def close(self) -> None:
        """Close the connection; records that are not confirmed within a second are given up."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=CLOSE_S)

    def _try(
        self, records: Sequence[JournalRecord], wanted: list[int], delivered: Delivered, stop: threading.Event
    ) -> dict[int, BaseException]:
        """Send the wanted ones. Return those that failed, each with its error."""
        try:
            self._producer = self._producer or self._make()
        except Exception as error:  # also a setting it refuses: the events are safe in the journal meanwhile
            return dict.fromkeys(wanted, error)
        outcomes = send(self._producer, [records[i] for i in wanted], lambda: self._beat(stop))
        failed = {i: outcome for i, outcome in zip(wanted, outcomes, strict=True) if outcome is not None}
        delivered.published.update(records[i].topic for i in wanted if i not in failed)
        if failed:
            self.close()  # a producer that was refused something refuses everything
        else:
            self.error = ""
        return failed

    def _narrow(
        self, records: Sequence[JournalRecord], failed: dict[int, BaseException], delivered: Delivered
    ) -> list[list[int]]:
        """Return the groups to be sent next: the halves of several records, in order. One alone is set apart. A refusal
        takes others down with it: only a record that is refused alone is sure to be at fault."""
        group = list(failed)
        if len(group) > 1:
            return [group[: len(group) // 2], group[len(group) // 2 :]]
        record, error = records[group[0]], failed[group[0]]
        reason = "too_large" if isinstance(error, TOO_LARGE) else "refused"
        delivered.dropped[record.topic, reason] += 1
        self._rejects.keep(RejectedRecord(record.topic, record.key, record.value, record.headers), error)
        return []

    def _wait(
        self, records: Sequence[JournalRecord], failed: dict[int, BaseException], retry_s: float, stop: threading.Event
    ) -> None:
        if stop.is_set():
            return
        first, error = next(iter(failed.items()))
        self.error = repr(error)
        log.warning(
            "broker is away; events wait in the journal", topic=records[first].topic, error=self.error, retry_s=retry_s
        )
        self._report()
        stop.wait(retry_s)

    def _beat(self, stop: threading.Event) -> bool:
        self.error = self.error or "the broker does not confirm"
        self._report()
        return not stop.is_set()


def send(producer: Any, records: Sequence[JournalRecord], beat: Beat) -> list[SendOutcome]:
    """Send all records, wait, and return the outcome of each."""
    sent = _sent(producer, records)
    deadline = time.monotonic() + DELIVERY_S + SPARE_S
    for each in sent:
        while not isinstance(each, BaseException) and not each.is_done:
            if not _waited(producer, each) and (not beat() or time.monotonic() > deadline):
                return [_outcome(other) for other in sent]
    return [_outcome(each) for each in sent]


def _sent(producer: Any, records: Sequence[JournalRecord]) -> list[Any]:
    """Return a future or an exception for each record."""
    sent: list[Any] = []
    for record in records:
        try:
            sent.append(producer.send(record.topic, record.value, record.key, record.headers))
        except HOPELESS as error:
            sent.append(error)
        except Exception as error:  # of any kind: the next records would have to wait for it too
            return sent + [error] * (len(records) - len(sent))
    return sent


def _waited(producer: Any, future: Any) -> bool:
    """Return whether a record is done, after a while."""
    try:
        producer.flush(BEAT_S)
        if not future.is_done:  # its batch was split: flushing does not wait for the parts
            future.get(BEAT_S)
    except Exception:  # the future holds the error
        return bool(future.is_done)
    return True


def _outcome(each: Any) -> SendOutcome:
    if isinstance(each, BaseException):
        return each
    error: SendOutcome = each.exception if each.is_done else kafka_errors.KafkaTimeoutError("not confirmed yet")
    return error
