from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from streams.events import AlarmRaised, InferenceServed
from streams.kinds import AlarmKind, Severity
from streams.lake import table as lake
from streams.lake.writer import LakeWriter
from streams.reports.reporter import WAITING, Reporter, ReportRequest, missing, render, sides
from streams.topics import INFERENCE
from tests.streams.support.traffic import START_MS, served

pytestmark = pytest.mark.slow

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
    LakeWriter(tmp_path, INFERENCE, 0, 1_000).add(lake.rows(InferenceServed, 0, list(range(101)), [*events, other]))
    return tmp_path


def test_the_sides_are_the_versions_rows_before_and_since_the_onset(root: Path) -> None:
    before, since = sides(lake.read(root, INFERENCE, until_ms=START_MS + 200 * 91), alarm(None), 20)
    assert before["offset"].to_pylist() == list(range(20))
    assert since["offset"].to_pylist() == list(range(71, 91))


def test_an_onset_younger_than_the_last_event_leaves_a_side_of_what_changed(root: Path) -> None:
    late = msgspec.structs.replace(alarm(None), onset_ms=alarm(None).time_ms + 5_000)
    before, since = sides(lake.read(root, INFERENCE, until_ms=late.time_ms + 1), late, 200)
    assert since["time_ms"].to_pylist() == [late.time_ms]
    assert before.num_rows == 90


def test_an_alarm_without_a_report_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="has no report"):
        render(root, ReportRequest(alarm(None)), 20)


def test_a_report_is_of_what_the_operator_looks_for_too(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = json.loads(msgspec.json.encode(ReportRequest(alarm(str(tmp_path / "a.html")), {"parcel": "parcel"})))
    named: list[str] = []

    def write(names: list[str], before: object, since: object, path: Path, top: str) -> Path:
        named.extend(names)
        return path

    monkeypatch.setattr("streams.reports.evidently_report.write", write)
    render(root, msgspec.convert(asked, ReportRequest), 50)
    assert named[-1] == "output_policy_parcel"


def test_a_side_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reference has no rows"):
        render(tmp_path / "empty", ReportRequest(alarm(str(tmp_path / "r.html"))), 20)


def test_the_page_compares_the_sides(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, int, Path]] = []

    def write(names: object, before: list[object], since: list[object], path: Path, top: str) -> Path:
        written.append((len(before), len(since), path))
        return path

    monkeypatch.setattr("streams.reports.evidently_report.write", write)
    assert render(root, ReportRequest(alarm(str(tmp_path / "a.html"))), 50) == tmp_path / "a.html"
    assert written == [(50, 31, tmp_path / "a.html")]


def test_the_page_names_the_slice_and_shows_the_examples(root: Path, tmp_path: Path) -> None:
    slice = {"name": "language=<de>", "events": 9, "share": 0.5, "mean": 2.5, "elsewhere": 0.1, "errors": 7.0}
    slice |= {"before": 0.3, "elsewhere_before": 0.2}
    told = {"slice": {**slice, "measure": "score of prompt_chars"}, "examples": [served("support", 70).id, "lost"]}
    raised = msgspec.structs.replace(alarm(str(tmp_path / "a.html")), evidence=told, summary="It changed")
    text = render(root, ReportRequest(raised), 50).read_text()
    assert "<h1>It changed</h1>" in text
    assert "language=&lt;de&gt; differs most from the rest: score of prompt_chars 2.50 in 9 events" in text
    assert "In the reference it was 0.30, and 0.20 elsewhere." in text
    assert served("support", 70).input_messages[-1].content in text
    (line,) = (tmp_path / "a.examples.jsonl").read_text().splitlines()
    assert served("support", 70).id in line


def renderers() -> list[psutil.Process]:
    return [each for each in psutil.Process().children(recursive=True) if "streams.reports.reporter" in _command(each)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # gone, or a zombie of another test
        return []


@pytest.mark.timeout(600)
async def test_a_renderer_that_is_killed_is_followed_by_another(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "reports" / "a.html"
    rendered = asyncio.create_task(Reporter(root, 50).rendered(alarm(str(path))))
    while not (found := renderers()):  # noqa: ASYNC110  # another process's doing
        await asyncio.sleep(0.01)
    found[0].kill()
    assert await rendered
    assert "<body>" in path.read_text()


def test_a_renderer_whose_worker_is_gone_ends_by_itself(root: Path, tmp_path: Path) -> None:
    """Its disk answers no more, and nobody is left who would kill it."""
    (stuck,) = (tmp_path / INFERENCE.name).rglob("*.parquet")
    stuck.unlink()
    os.mkfifo(stuck)
    code = "from streams.reports import reporter; reporter.TIMEOUT_S = 1; reporter.main()"
    asked = msgspec.json.encode(ReportRequest(alarm(str(tmp_path / "a.html"))))
    done = subprocess.run([sys.executable, "-c", code, str(root), "50"], input=asked, timeout=60, check=False)
    assert done.returncode == -signal.SIGALRM


def test_alarms_that_want_no_page_or_have_one_hide_none_that_lacks_it(tmp_path: Path) -> None:
    there = tmp_path / "there.html"
    there.touch()
    lacking = alarm(str(tmp_path / "lacking.html"))
    assert missing([lacking, *[alarm(None)] * WAITING, *[alarm(str(there))] * WAITING]) == [lacking]


async def test_a_page_that_is_on_its_way_is_not_asked_for_again(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path, 50)
    for _ in range(3):  # as many rebalances
        reporter.ask(alarm(str(tmp_path / "a.html")))
    assert reporter.queue.qsize() == 1


def bare_alarm(report: Path | None, id: str = "a") -> AlarmRaised:
    return AlarmRaised(
        id=id,
        alias="support",
        version="support-0123456789ab",
        kind="drift",  # type: ignore[arg-type]
        severity="info",  # type: ignore[arg-type]
        time_ms=10,
        first_event="",
        last_event="",
        onset_ms=5,
        evidence={},
        summary="",
        report=str(report) if report else None,
    )


async def test_reports_are_asked_for_once_and_only_so_many_wait(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path / "no-lake", 10)
    (tmp_path / "there.html").write_text("done")
    reporter.ask(bare_alarm(None))
    reporter.ask(bare_alarm(tmp_path / "there.html"))
    assert reporter.queue.empty()
    for _ in range(30):
        reporter.ask(bare_alarm(tmp_path / "new.html"))
    assert reporter.queue.qsize() == 1
    for number in range(30):
        reporter.ask(bare_alarm(tmp_path / f"{number}.html", str(number)))
    assert reporter.queue.full()
