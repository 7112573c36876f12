"""A replica's last attestation in the log is true, even where the log was away in between."""

from __future__ import annotations

import asyncio
import time

import pytest

from serving.replica.attester import Attester, ReplicaState
from serving.replica.fingerprints import Fingerprints
from serving.replica.probe import ProbeReading
from serving.routes.routing import RouteTable
from serving.settings import ControllerSettings, Replica
from streams.events import Event, ReplicaAttested
from streams.proof import Proof
from streams.topics import Topic


def state(*versions: str, healthy: bool = True) -> ReplicaState:
    return ReplicaState(healthy, dict.fromkeys(versions, "d"), {}, {}, {})


class FailingLog:
    """A log that takes a record, refuses it, or takes its time."""

    def __init__(self) -> None:
        self.sent: list[ReplicaAttested] = []
        self.fails, self.takes_s = 0, 0.0

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> None:
        time.sleep(self.takes_s)
        assert isinstance(event, ReplicaAttested)
        self.sent.append(event)
        if self.fails:
            self.fails -= 1
            raise TimeoutError("taken or not?")


@pytest.fixture
def log() -> FailingLog:
    return FailingLog()


def attester(log: FailingLog) -> Attester:
    return Attester(Replica("r1", "http://r1"), "base", log.append, 5.0)


async def test_an_attestation_that_may_have_been_taken_is_taken_back(log: FailingLog) -> None:
    ours = attester(log)
    await ours.attest(state("a"), 0.0)
    log.fails = 1
    await ours.attest(state("b"), 1.0)
    await ours.attest(state("a"), 2.0)
    assert [list(each.versions) for each in log.sent] == [["a"], ["b"], ["a"]]


@pytest.mark.slow
async def test_while_the_log_is_slow_only_the_newest_attestation_waits(
    log: FailingLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.replica.attester.PATIENCE_S", 0.01)
    ours, log.takes_s = attester(log), 0.5
    for version in "abcd":
        await ours.attest(state(version), 0.0)
    await asyncio.sleep(2.0)
    assert [list(each.versions) for each in log.sent] == [["a"], ["d"]]
    assert ours.versions == {"d"}


class Slow:
    """An engine whose answer comes when the test wants it."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()

    async def probe(self, name: str) -> ProbeReading:
        await self.answer.wait()
        return ProbeReading({"a": -1.0})

    async def prove(self, name: str, proof: Proof) -> float:
        raise AssertionError("no proof was expected")


@pytest.mark.parametrize("forgotten", [True, False])
async def test_an_answer_from_before_a_version_was_loaded_again_is_void(forgotten: bool) -> None:
    engine, prints = Slow(), Fingerprints(ControllerSettings(), "r1", RouteTable)
    asking = asyncio.create_task(prints.take(engine, "support-0123456789ab", 0.0))
    await asyncio.sleep(0)
    if forgotten:
        prints.forget("support-0123456789ab")
    engine.answer.set()
    await asking
    assert prints.taken("support-0123456789ab") is not forgotten
