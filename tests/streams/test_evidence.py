from __future__ import annotations

from pathlib import Path

import pytest

from streams import lake
from streams.events import AlarmKind, AlarmRaised, InferenceServed, Severity
from streams.evidence import render, sides
from streams.topics import INFERENCE
from tests.streams.traffic import START_MS, served

VERSION = "support-0123456789ab"
ONSET_MS = START_MS + 200 * 60


def alarm(report: str | None) -> AlarmRaised:
    return AlarmRaised(
        id="a",
        alias="support",
        version=VERSION,
        kind=AlarmKind.DRIFT,
        severity=Severity.INFO,
        time_ms=START_MS + 200 * 90,
        first_event="",
        last_event="",
        onset_ms=ONSET_MS,
        evidence={},
        summary="",
        report=report,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    events = [served("support", i) for i in range(100)]
    other = served("support", 7, version="support-ba9876543210")
    lake.Writer(tmp_path, INFERENCE, 0, 1_000).add(lake.rows(InferenceServed, 0, list(range(101)), [*events, other]))
    return tmp_path


def test_the_sides_are_the_versions_rows_before_and_since_the_onset(root: Path) -> None:
    before, since = sides(lake.read(root, INFERENCE, until_ms=START_MS + 200 * 91), alarm(None), 20)
    assert before["offset"].to_pylist() == list(range(20))
    assert since["offset"].to_pylist() == list(range(71, 91))


def test_an_alarm_without_a_report_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="has no report"):
        render(root, alarm(None), 20)


def test_a_side_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reference has no rows"):
        render(tmp_path / "empty", alarm(str(tmp_path / "r.html")), 20)


def test_the_page_compares_the_sides(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, int, Path]] = []

    def write(names: object, before: list[object], since: list[object], path: Path) -> Path:
        written.append((len(before), len(since), path))
        return path

    monkeypatch.setattr("monitor.report.write", write)
    assert render(root, alarm("a.html"), 50) == Path("a.html")
    assert written == [(50, 31, Path("a.html"))]
