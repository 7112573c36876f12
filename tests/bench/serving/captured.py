"""Whether every reply became an event: what clients got, held against the log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streams.events import InferenceServed
from streams.log.read import ends, read
from streams.log.settings import KafkaSettings
from streams.topics import INFERENCE
from tests.serving.support.traffic import Attempt

QUIET_S = 2.0  # the log has stopped growing when it did not for so long


@dataclass(frozen=True, slots=True)
class Captured:
    """What the log has of a run."""

    events: Mapping[str, InferenceServed]  # by id
    lost: Sequence[Attempt]  # whole replies without an event
    twice: int  # records beyond the first of their id

    def misnamed(self, attempts: Iterable[Attempt]) -> list[Attempt]:
        """Replies whose event names another version than they do."""
        known = ((each, self.events.get(each.event_id)) for each in attempts if not each.failed)
        return [each for each, event in known if event is not None and event.version != each.version]


def captured(kafka: KafkaSettings, attempts: Iterable[Attempt], seconds: float = 90.0) -> Captured:
    """Waits until the log has an event of every whole reply, or the time is up."""
    whole = [each for each in attempts if not each.failed]
    deadline = time.monotonic() + seconds
    while True:
        _quiet(kafka, deadline)
        records = [record.event for record in read(kafka, INFERENCE, InferenceServed)]
        events = {event.id: event for event in records}
        lost = [each for each in whole if each.event_id not in events]
        if not lost or time.monotonic() > deadline:
            return Captured(events, lost, len(records) - len(events))


def _quiet(kafka: KafkaSettings, deadline: float) -> None:
    before = -1
    while (now := ends(kafka, INFERENCE)) != before and time.monotonic() < deadline:
        before = now
        time.sleep(QUIET_S)
