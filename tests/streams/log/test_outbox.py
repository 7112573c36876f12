from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import msgspec
import pytest
from aiokafka.errors import MessageSizeTooLargeError
from structlog.testing import capture_logs

from streams import codec, metrics
from streams.events import InferenceServed
from streams.log.outbox import Outgoing, RetryingOutbox, outgoing
from streams.log.rejects import RejectedRecord, Rejects
from streams.topics import INFERENCE
from tests.streams.support.traffic import served


class Flaky:
    """Takes a record, and fails the first `failures` times, at once or at the confirmation."""

    def __init__(self, failures: int) -> None:
        self.failures, self.arrived = failures, list[Outgoing]()

    async def send(self, record: Outgoing) -> Awaitable[None]:
        self.failures -= 1
        if self.failures >= 0 and self.failures % 2:
            raise ConnectionError("no broker")

        async def confirmed(fails: bool) -> None:
            if fails:
                raise TimeoutError("not in sync")
            self.arrived.append(record)

        return confirmed(self.failures >= 0)


@pytest.mark.parametrize("failures", [0, 1, 5, 9])
async def test_confirm_tries_until_every_record_arrived_once(failures: int) -> None:
    flaky = Flaky(failures)
    records = [outgoing(INFERENCE, served("support", i), id=str(i), time_ms=0) for i in range(4)]
    await asyncio.wait_for(RetryingOutbox(flaky.send, first_wait_s=0.001).confirm(records), 5)
    assert sorted(record.key for record in flaky.arrived) == sorted(record.key for record in records)


class Narrow(Flaky):
    """A broker that takes no record above some size; where one is sent together with others, it refuses them all."""

    def __init__(self, most: int) -> None:
        super().__init__(0)
        self.most, self.tried = most, 0
        self.together: list[Outgoing] = []

    async def send(self, record: Outgoing) -> Awaitable[None]:
        self.together.append(record)

        async def confirmed() -> None:
            self.tried += 1
            await asyncio.sleep(0)
            refused = any(len(each.value or b"") > self.most for each in self.together)
            await asyncio.sleep(0)
            self.together.clear()
            if refused:
                raise MessageSizeTooLargeError
            self.arrived.append(record)

        return confirmed()


def kept_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


async def test_a_record_that_no_broker_takes_is_set_apart_and_the_rest_goes_on(tmp_path: Path) -> None:
    narrow, before = Narrow(most=2_000), metrics.TOO_LARGE.labels(INFERENCE.name)._value.get()
    events = [served("support", i) for i in range(6)]
    large = msgspec.structs.replace(events[3], output="x" * 3_000)
    records = [outgoing(INFERENCE, each, id=each.id, time_ms=0) for each in [*events[:3], large, *events[4:]]]
    with capture_logs() as said:
        await asyncio.wait_for(RetryingOutbox(narrow.send, 0.001, Rejects(tmp_path / "aside")).confirm(records), 5)
    assert {each.key for each in narrow.arrived} == {each.id.encode() for each in [*events[:3], *events[4:]]}
    (path,) = kept_in(tmp_path / "aside")
    kept = msgspec.json.decode(path.read_bytes(), type=RejectedRecord)
    assert (kept.topic, codec.decode(InferenceServed, kept.value)) == (INFERENCE.name, large)
    assert path.stat().st_mode & 0o077 == 0
    (line,) = [each for each in said if each["log_level"] == "error"]
    assert (line["topic"], line["path"]) == (INFERENCE.name, str(path))
    assert metrics.TOO_LARGE.labels(INFERENCE.name)._value.get() == before + 1


async def test_without_room_for_it_the_log_names_it_as_lost(tmp_path: Path) -> None:
    records = [outgoing(INFERENCE, served("support", i), id=str(i), time_ms=0) for i in range(3)]
    with capture_logs() as said:
        full = Rejects(tmp_path, most_bytes=1_500)
        await asyncio.wait_for(RetryingOutbox(Narrow(most=10).send, 0.001, full).confirm(records), 5)
    assert len(kept_in(tmp_path)) == 1
    assert [each["event"].partition(":")[0] for each in said if each["log_level"] == "error"].count("record lost") == 2
