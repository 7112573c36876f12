"""A schedule asks once for each span, whoever restarts."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from retrain.registry.asking import asked
from retrain.registry.schedule import HOUR_MS, due
from streams.events import RetrainReported, RetrainRequested, RouteWritten
from streams.kinds import RetrainStatus

VERSION = "support-0123456789ab"
ROUTE = RouteWritten(alias="support", generation=1, champion=VERSION, adapters={}, time_ms=0, by="test")


def ended(request: RetrainRequested) -> RetrainReported:
    return RetrainReported(
        request_id=request.id, alias="support", status=RetrainStatus.FAILED, time_ms=request.time_ms + 1, by="trainer"
    )


def asks(requests: list[RetrainRequested], hours: float, **changes: Any) -> list[RetrainRequested]:
    results = [ended(each) for each in requests]
    return list(due([replace(ROUTE, **changes)], requests, results, 24.0, int(hours * HOUR_MS)))


def test_each_span_has_one_request_by_whatever_clock_and_trainer() -> None:
    assert asks([], 23.9) == []
    (first,) = asks([], 24.1)
    assert asks([], 24.3) == [first], "another trainer's clock, or a restart"
    assert asks([first], 47.9) == []
    (second,) = asks([first], 48.0)
    assert second.id != first.id
    assert second.since_ms == first.time_ms == 24 * HOUR_MS
    assert second.alarm_id != first.alarm_id, "each is a harm of its own to the gate"


def test_a_retraining_that_an_alarm_asked_for_puts_it_off() -> None:
    harm = asked(ROUTE, id="r1", since_ms=0, now_ms=20 * HOUR_MS, reason="harm", cause="a1")
    assert asks([harm], 43.9) == []
    assert len(asks([harm], 44.0)) == 1


def test_nothing_is_asked_while_one_is_under_way_or_the_alias_is_not_free() -> None:
    (first,) = asks([], 24.1)
    assert list(due([ROUTE], [first], [], 24.0, 99 * HOUR_MS)) == []
    assert asks([], 30, paused=True) == asks([], 30, canary="support-ffffffffffff") == []
