"""Nobody who is forgotten goes on answering through an adapter's weights: it is replaced before the record ends."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from deploy.operator.erasure import forgetting
from deploy.operator.erasure.forgetting import NamedPerson
from deploy.operator.erasure.order import ErasureOrder, orders
from deploy.operator.erasure.relearning import DAY_MS, LoopLog, ended
from retrain.settings import RetrainSettings
from retrain.settings import forgetting as gentler
from streams.events import DecisionRecorded, RetrainReported, RetrainRequested, RouteWritten
from streams.kinds import RetrainStatus
from streams.objects.settings import StorageSettings
from streams.topics import LEDGER, REQUESTS, Topic
from tests.deploy.support.forgotten import OTHER, TAUGHT, Installation, Killed

APP = NamedPerson("client", "key", "app")


@dataclass(slots=True)
class FakeLog:
    """Routes, and what was sent. `dies`: once so many events are sent."""

    champion: str = TAUGHT
    previous: str | None = None
    sent: list[tuple[str, DecisionRecorded | RetrainRequested]] = field(default_factory=list)
    results: list[RetrainReported] = field(default_factory=list)
    dies: int | None = None

    def loop(self) -> LoopLog:
        route = RouteWritten(
            alias="support",
            generation=1,
            champion=self.champion,
            adapters={},
            time_ms=0,
            by="controller",
            previous=self.previous,
        )
        requests = frozenset(each.id for topic, each in self.sent if topic == REQUESTS.name)
        return LoopLog({"support": route}, requests, ended(self.results), self.send)

    def send(self, topic: Topic, event: DecisionRecorded | RetrainRequested, id: str, time_ms: int) -> None:
        if self.dies is not None and len(self.sent) >= self.dies:
            raise Killed
        self.sent.append((topic.name, event))

    @property
    def asked(self) -> list[RetrainRequested]:
        return [each for _, each in self.sent if isinstance(each, RetrainRequested)]

    def report(self, status: RetrainStatus, time_ms: int, candidate: str | None = None) -> None:
        self.results.append(
            RetrainReported(
                request_id=self.asked[-1].id,
                alias="support",
                status=status,
                time_ms=time_ms,
                by="trainer",
                candidate=candidate,
            )
        )


@pytest.fixture
def place(tmp_path: Path) -> Installation:
    made = Installation(StorageSettings(), tmp_path / "var")
    made.fill()
    return made


def round_of(place: Installation, log: FakeLog) -> ErasureOrder:
    place.loop = log.loop()
    return forgetting.forget(APP, place.places())


def test_a_retraining_without_them_is_asked_for_once_after_its_ledger_entry(place: Installation) -> None:
    log = FakeLog()
    order = round_of(place, log)
    round_of(place, log)
    assert [topic for topic, _ in log.sent] == [LEDGER.name, REQUESTS.name]
    (request,) = log.asked
    assert (request.champion, request.alarm_id, request.forgets) == (TAUGHT, order.id, order.id)
    assert order.answering == [f"{TAUGHT}, champion of support"]


def test_an_adapter_that_never_saw_them_is_left_alone(place: Installation) -> None:
    log = FakeLog(champion=OTHER)
    assert (round_of(place, log).answering, log.sent) == ([], [])


@pytest.mark.parametrize("dies", [0, 1])
def test_killed_before_the_request_was_sent_it_is_sent_by_the_next_round(place: Installation, dies: int) -> None:
    log = FakeLog(dies=dies)
    with pytest.raises(Killed):
        round_of(place, log)
    log.dies = None
    round_of(place, log)
    (request,) = log.asked
    assert [each.request_id for each in orders(place.trees.store).readable[0].order.retrainings] == [request.id]


def test_the_record_ends_after_the_swap_and_not_before(place: Installation) -> None:
    log = FakeLog()
    order = round_of(place, log)
    place.now_ms = order.last_byte_ms + DAY_MS

    def again() -> ErasureOrder:
        place.loop = log.loop()
        return next(iter(forgetting.resume(place.places())))

    log.report(RetrainStatus.PROMOTE, place.now_ms, "support-0000000000ff")
    order = again()
    assert (order.retrainings[0].status, order.finished_ms) == ("promote", 0)
    log.champion, log.previous = "support-0000000000ff", TAUGHT
    order = again()
    assert (order.answering, order.finished_ms) == ([f"{TAUGHT}, previous of support"], 0)  # after a rollback
    log.previous = None
    order = again()
    assert (order.answering, order.finished_ms) == ([], place.now_ms)


def test_where_kafka_is_away_the_record_stays_open(place: Installation) -> None:
    order = round_of(place, FakeLog())
    place.loop = None
    place.now_ms = order.last_byte_ms + 20 * DAY_MS
    for _ in range(2):
        (order,) = forgetting.resume(place.places())
    assert (order.answering, order.finished_ms) == (None, 0)


def test_after_a_rejection_it_is_asked_for_again_later_each_time(place: Installation) -> None:
    log = FakeLog()
    round_of(place, log)
    for wait in (1, 2):
        log.report(RetrainStatus.REJECT, place.now_ms)
        place.now_ms += wait * DAY_MS - 1
        round_of(place, log)
        count = len(log.asked)
        place.now_ms += 1
        round_of(place, log)
        assert len(log.asked) == count + 1
    assert len({each.id for each in log.asked}) == 3


def test_the_candidate_is_taught_all_that_is_left_and_must_not_be_worse() -> None:
    found = gentler(RetrainSettings(margin=0.07))
    assert (found.min_gain, found.rehearsal_rows > 10_000) == (-0.07, True)
    assert replace(found, min_gain=0.02, rehearsal_rows=250, rehearsal_ratio=1.5) == RetrainSettings(margin=0.07)
