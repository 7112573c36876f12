"""An answer's age counts from its question, by this machine's clock alone."""

from __future__ import annotations

from serving.routes.answers import Answered, Answers
from serving.routes.routing import RouteTable
from tests.serving.support.side_cars import DIGEST, VERSION, signed


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def urls(answers: Answers) -> list[str]:
    return [each.url for each in answers.table().serving(VERSION, DIGEST)]


def test_a_silent_side_car_gets_nothing_after_its_time() -> None:
    clock = Clock()
    answers = Answers(RouteTable, 6.0, clock)
    answers.note("r1", Answered(signed("r1", "http://r1"), clock.now))
    answers.note("r2", Answered(signed("r2", "http://r2"), clock.now + 3))
    clock.now += 5.9
    assert urls(answers) == ["http://r1", "http://r2"]
    clock.now += 0.2
    assert urls(answers) == ["http://r2"]
    assert not answers.table().attestations["r1"].healthy
    answers.note("r1", Answered(signed("r1", "http://r1"), clock.now))
    assert urls(answers) == ["http://r1", "http://r2"]


def test_an_answer_to_an_earlier_question_makes_nothing_younger_or_older() -> None:
    clock = Clock()
    answers = Answers(RouteTable, 6.0, clock)
    answers.note("r1", Answered(signed("r1", "http://r1"), clock.now))
    answers.note("r1", Answered(signed("r1", "http://r1", versions={}), clock.now - 1))
    assert urls(answers) == ["http://r1"]


def test_what_a_side_cars_clock_shows_changes_nothing() -> None:
    answers = Answers(RouteTable, 6.0)
    for name, off_ms in (("r1", -600_000), ("r2", 600_000)):
        each = signed(name, f"http://{name}", time_ms=1_800_000_000_000 + off_ms, sequence=1 + off_ms)
        answers.note(name, Answered(each, answers.clock()))
    assert len(urls(answers)) == 2


def test_the_table_is_made_once_for_each_change() -> None:
    base = RouteTable()
    answers = Answers(lambda: base, 6.0)
    answers.note("r1", Answered(signed("r1"), answers.clock()))
    assert answers.table() is answers.table()


def test_a_side_car_that_is_dropped_is_in_no_table() -> None:
    answers = Answers(RouteTable, 6.0)
    answers.note("r1", Answered(signed("r1"), answers.clock()))
    answers.drop("r1")
    assert not answers.table().attestations
