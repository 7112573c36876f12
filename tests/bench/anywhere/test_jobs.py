"""The bench of Jobs says what differs."""

from __future__ import annotations

from retrain.job_files import JobOutcome
from tests.bench.anywhere.jobs import told
from tests.retrain.support.whole_job import Twice

NONE = JobOutcome(problem="out of memory")


def test_two_that_came_to_nothing_are_not_the_same() -> None:
    assert [(each.value, each.met) for each in told(Twice(NONE, NONE, 5))] == [(0, False), (0, False), (5, False)]


def test_another_adapter_is_another() -> None:
    one, two = JobOutcome(problem="", digest="a" * 64), JobOutcome(problem="", digest="b" * 64)
    assert [each.met for each in told(Twice(one, one, 4))] == [False, True, True]
    assert [each.met for each in told(Twice(one, two, 4))] == [False, False, True]
