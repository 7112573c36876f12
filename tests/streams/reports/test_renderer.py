"""A renderer of its own: an alarm without a page is one to render, whoever was killed before."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec
import pytest

from streams.events import AlarmRaised
from streams.objects.opening import Storage
from streams.objects.store import replace
from streams.reports.keys import page_key
from streams.reports.renderer import AGAIN_S, Renderer
from streams.reports.reporter import Reporter
from tests.streams.reports.test_reporter import alarm, filled


@dataclass
class Counted(Reporter):
    """Puts a page, or fails, and keeps whose."""

    fails: set[str] = field(default_factory=set)
    tried: list[str] = field(default_factory=list)

    async def rendered(self, alarm: AlarmRaised) -> bool:
        self.tried.append(alarm.id)
        if alarm.id in self.fails:
            return False
        replace(self.storage.objects(), page_key(alarm.id), b"page")
        return True


def aged(id: str, seconds: int) -> AlarmRaised:
    return msgspec.structs.replace(alarm(id), time_ms=alarm().time_ms - seconds * 1_000)


def test_the_newest_alarm_is_rendered_first_and_one_with_a_page_or_without_a_report_is_not(storage: Storage) -> None:
    replace(storage.objects(), page_key("there"), b"page")
    renderer = Renderer(reporter := Counted(storage, 50))
    for each in (aged("old", 9), alarm("there"), alarm("none", report=None), aged("new", 1)):
        renderer.take(each)
    asyncio.run(renderer.turn())
    assert reporter.tried == ["new", "old"]
    assert renderer.awaited == {}


def test_an_alarm_waits_for_its_rows_to_be_in_the_lake(storage: Storage) -> None:
    now = [0.0]
    renderer = Renderer(reporter := Counted(storage, 50, lake_lag_s=6.0), clock=lambda: now[0])
    renderer.take(alarm("a"))
    asyncio.run(renderer.turn())
    assert reporter.tried == []
    now[0] = 6.0
    asyncio.run(renderer.turn())
    assert reporter.tried == ["a"]


def test_a_report_that_fails_comes_again_later_and_later_and_keeps_none_from_being_made(storage: Storage) -> None:
    now = [0.0]
    renderer = Renderer(reporter := Counted(storage, 50, fails={"bad"}), clock=lambda: now[0])
    renderer.take(alarm("bad"))
    renderer.take(aged("good", 5))
    for at in (0.0, AGAIN_S[0] - 1, AGAIN_S[0], 2 * AGAIN_S[0], 3 * AGAIN_S[0]):
        now[0] = at
        asyncio.run(renderer.turn())
    assert reporter.tried == ["bad", "good", "bad", "bad"]
    assert list(renderer.awaited) == ["bad"]


def test_where_evidently_is_not_installed_a_worker_leaves_reports_to_a_renderer(storage: Storage) -> None:
    reporter = Reporter(storage, 50, renders=False)
    reporter.ask(alarm())
    assert reporter.queue.empty()


@pytest.mark.slow
def test_a_killed_renderer_is_followed_by_another_that_makes_the_page(storage: Storage) -> None:
    """Cancelled in the middle of a report, which ends its process; the next one reads the same alarms."""
    filled(storage)

    async def cut_short() -> None:
        renderer = Renderer(Reporter(storage, 50))
        renderer.take(alarm())
        turn = asyncio.create_task(renderer.turn())
        await asyncio.sleep(0.5)
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)

    asyncio.run(cut_short())
    assert not storage.objects().holds(page_key("a"))
    renderer = Renderer(Reporter(storage, 50))
    renderer.take(alarm())
    asyncio.run(renderer.turn())
    assert storage.objects().holds(page_key("a"))
    assert renderer.awaited == {}
