"""Readers of a lake: parts give what the whole gives."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from streams.events import AlarmRaised, InferenceServed
from streams.kinds import AlarmKind, Severity
from streams.lake import table as lake
from streams.lake.writer import LakeWriter
from streams.reports import reporter as evidence
from streams.topics import INFERENCE
from tests.streams.support.traffic import START_MS, served


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two partitions, small files, times that go back and forth, and some events twice."""
    rng = random.Random(1)
    numbers = [i + rng.randrange(-30, 30) for i in range(300)] + [7, 8, 250]
    for partition, some in enumerate((numbers[::2], numbers[1::2])):
        events = [served("support", max(0, number)) for number in some]
        events += [served("billing", 3)]
        table = lake.rows(InferenceServed, partition, range(len(events)), events)
        LakeWriter(tmp_path, INFERENCE, partition, 20).add(table)
    return tmp_path


@pytest.mark.slow
def test_the_sides_are_the_same_whether_the_rows_come_at_once_or_in_parts(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm = msgspec.convert(
        {
            **dict.fromkeys(("id", "first_event", "last_event", "summary"), ""),
            "alias": "support",
            "version": served("support", 0).version,
            "evidence": {},
            "kind": AlarmKind.DRIFT,
            "severity": Severity.INFO,
            "time_ms": START_MS + 200 * 260,
            "onset_ms": START_MS + 200 * 140,
        },
        AlarmRaised,
    )
    whole = lake.read(root, INFERENCE, alias="support", until_ms=alarm.time_ms + 1)
    monkeypatch.setattr(lake, "BATCH_ROWS", 7)
    parts = list(lake.scan(root, INFERENCE, alias="support", until_ms=alarm.time_ms + 1))
    random.Random(2).shuffle(parts)
    for one, other in zip(evidence.sides(whole, alarm, 40), evidence.gathered(parts, alarm, 40), strict=True):
        assert one.num_rows == 40
        assert one.equals(other)


@pytest.mark.slow
def test_rows_by_id_are_those_that_reading_all_of_them_gives(root: Path) -> None:
    whole = lake.read(root, INFERENCE, alias="support")
    ids = whole["id"].to_pylist()[5:250:9]
    wanted = pa.array([*ids, "lost"])
    assert lake.chosen(root, INFERENCE, [*ids, "lost"], alias="support").equals(
        whole.filter(pc.is_in(whole["id"], value_set=wanted))
    )
    assert lake.chosen(root, INFERENCE, []).num_rows == 0
    assert lake.chosen(root / "none", INFERENCE, ids).schema == whole.schema
    assert lake.count(root, INFERENCE, "support") == whole.num_rows


@pytest.mark.slow
def test_of_a_scan_only_what_was_asked_for_is_read(root: Path) -> None:
    since, until = START_MS + 200 * 50, START_MS + 200 * 100
    found = list(lake.scan(root, INFERENCE, alias="billing", columns=("offset", "output")))
    assert {tuple(table.column_names) for table in found} == {("offset", "output")}
    assert sum(table.num_rows for table in found) == 2
    times = [
        t for table in lake.scan(root, INFERENCE, since_ms=since, until_ms=until) for t in table["time_ms"].to_pylist()
    ]
    assert times
    assert all(since <= time < until for time in times)
