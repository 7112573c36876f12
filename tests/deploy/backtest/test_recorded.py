from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from deploy.backtest.recorded import find, load, recorded
from deploy.operator.replay import LedgerError
from streams import ledger
from streams.events import DecisionRecorded
from streams.kinds import DecisionKind
from tests.deploy.support.lives import ALIAS, SECTIONS, life, live

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def entries() -> list[DecisionRecorded]:
    return live(life("harm"), rejected_after_ms=3_000)


def test_a_ledger_tells_what_was_done_with_which_settings_and_how_it_ended(entries: list[DecisionRecorded]) -> None:
    found = recorded(entries)
    assert "quality" in [alarm.kind for alarm in found.outcome.alarms]
    assert found.outcome.retrainings
    assert found.outcome.labels_wanted
    assert found.settings == SECTIONS
    assert {each.status for each in found.ended} == {"reject"}
    assert found.minutes == pytest.approx(3 / 60, abs=1 / 60)


def test_entries_written_twice_count_once(entries: list[DecisionRecorded]) -> None:
    assert recorded([*entries, *entries]) == recorded(entries)


def test_what_others_decided_is_left_out(entries: list[DecisionRecorded]) -> None:
    human = DecisionRecorded(
        id="h", alias=ALIAS, time_ms=1, kind=DecisionKind.OPERATOR, function="operator", inputs={}, output={}
    )
    assert recorded([human, *entries]) == recorded(entries)


def test_only_the_alias_and_its_time_are_read(tmp_path: Path, entries: list[DecisionRecorded]) -> None:
    others = [replace(each, id=f"o{each.id}", alias="sales") for each in entries]
    path = tmp_path / "ledger.jsonl"
    ledger.export([*others, *entries], path)
    assert load(path, ALIAS, 0, None) == recorded(entries)
    assert load(path, ALIAS, entries[1].time_ms, entries[-1].time_ms) == recorded(
        [each for each in entries if entries[1].time_ms <= each.time_ms < entries[-1].time_ms]
    )


def test_another_releases_decision_is_named(entries: list[DecisionRecorded]) -> None:
    strange = replace(entries[0], output=[{"type": "alarm", "kind": "mood"}])
    with pytest.raises(LedgerError, match=rf"decision {entries[0].id} \(judge.update\).*another release"):
        recorded([strange])


def test_a_ledger_beside_the_lake_is_found(tmp_path: Path) -> None:
    lake = tmp_path / "stack" / "lake"
    lake.mkdir(parents=True)
    assert find(lake) is None
    (tmp_path / "ledger.jsonl").touch()
    assert find(lake) == lake.parent / "../ledger.jsonl"
