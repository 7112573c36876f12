"""When a demo's events count as settled; what they are counted with is `tests/e2e`'s."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.config.settings import Config
from deploy.demo.memory import PeakMemory
from deploy.demo.record import EventCounts
from deploy.demo.stack import DemoStack


def stack(monkeypatch: pytest.MonkeyPatch, *seen: EventCounts) -> DemoStack:
    """One whose looks at its events find these, the last one again and again."""
    looks = list(seen)
    monkeypatch.setattr(DemoStack, "events", lambda _: looks.pop(0) if len(looks) > 1 else looks[0])
    return DemoStack(Path("var"), Path("homeostat.toml"), Config(), Path("model"), None, 8, PeakMemory(list))


def test_replies_that_are_not_in_the_log_yet_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    on_their_way, shipped = EventCounts(published=43, consumed=43), EventCounts(published=45, consumed=43)
    done = EventCounts(published=45, consumed=45)
    assert stack(monkeypatch, on_their_way, shipped, done).settled(45, 60.0, look_s=0.0) == done


def test_a_repeated_record_is_not_taken_for_a_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    one_missing = EventCounts(published=45, consumed=44, duplicates=1)
    done = EventCounts(published=46, consumed=45, duplicates=1)
    assert stack(monkeypatch, one_missing, done).settled(45, 60.0, look_s=0.0) == done


def test_unreadable_events_are_handled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    done = EventCounts(published=45, consumed=44, dead_lettered=1)
    assert stack(monkeypatch, done).settled(45, 60.0, look_s=0.0) == done


def test_what_never_comes_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = EventCounts(published=44, consumed=44)
    assert stack(monkeypatch, lost).settled(45, 0.0, look_s=0.0) == lost
