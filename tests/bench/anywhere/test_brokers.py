"""What the bench of kills counts is what there is to count."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from tests.bench.anywhere.brokers import told
from tests.bench.anywhere.engines import Fakes
from tests.bench.serving.captured import Captured
from tests.serving.support.load import Answer
from tests.serving.support.traffic import Attempt, Traffic
from tests.streams.support.traffic import served

VERSION, OTHER = "support-aaaaaaaaaaaa", "support-bbbbbbbbbbbb"


def reply(number: int, began_s: float = 0.0, *, says: str = VERSION, status: int = 200) -> Attempt:
    message = {"content": f"card {says}"}
    body = msgspec.json.encode({"model": VERSION, "choices": [{"message": message}]})
    head = f"HTTP/1.1 {status} -\r\nx-homeostat-version: {VERSION}\r\nx-homeostat-request-id: {number}.sig"
    return Attempt(0, began_s, began_s + 1, Answer(status, head.encode(), body, 1.0, 1.0))


def values(attempts: list[Attempt], log: Captured, lake: Counter[str], replies: int = 5) -> list[float]:
    fleet = SimpleNamespace(members=[SimpleNamespace(name="replica-1")])
    place = SimpleNamespace(kills={"gateway": 100.0, "replica": 100.0}, replies={"gateway": replies}, fleet=fleet)
    traffic = Traffic(0, [], attempts=attempts)
    return [each.value for each in told("brokers", cast("Any", place), traffic, log, lake, Fakes())]


def logged(*numbers: int, version: str = VERSION) -> Captured:
    return Captured({str(i): served("support", i, version=version) for i in numbers}, [], 0)


def test_nothing_wrong_counts_nothing() -> None:
    assert values([reply(1), reply(2)], logged(1, 2), Counter(["1", "2"])) == [0, 0, 0, 0, 0, 2, 1, 0, 0]


def test_each_loss_is_counted_wherever_it_is_missing() -> None:
    attempts = [reply(1), reply(2), reply(3)]
    assert values(attempts, logged(1, 3), Counter(["1", "2"]))[0] == 2


def test_an_id_that_is_in_the_lake_again_is_doubled() -> None:
    assert values([reply(1)], logged(1), Counter({"1": 3}))[1] == 2


def test_a_reply_by_another_than_header_or_event_names_is_misattributed() -> None:
    attempts = [reply(1, says=OTHER), reply(2)]
    assert values(attempts, logged(1, 2), Counter(["1", "2"]))[2] == 1
    assert values([reply(2)], logged(2, version=OTHER), Counter(["2"]))[2] == 1


def test_only_what_was_under_way_at_a_kill_may_fail() -> None:
    attempts = [reply(1, 99.5, status=502), reply(2, 50.0, status=502), reply(3, 101.0, status=502)]
    found = values(attempts, logged(), Counter())
    assert (found[3], found[7]) == (2, 1)


def test_who_waited_until_the_time_was_up_lost_more_than_was_under_way() -> None:
    waited = Attempt(0, 99.5, 160.0, broken="TimeoutError ")
    assert values([waited], logged(), Counter())[3] == 1


def test_what_was_killed_must_have_worked() -> None:
    assert values([reply(1), reply(2)], logged(1, 2), Counter(["1", "2"]), replies=0)[5] == 0
    assert values([reply(1, 100.0)], logged(1), Counter(["1"]))[5] == 0
