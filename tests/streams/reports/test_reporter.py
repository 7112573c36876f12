from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import obstore
import psutil
import pytest

from streams.events import AlarmRaised
from streams.kinds import AlarmKind, Severity
from streams.lake.lake import Lake
from streams.objects.bucket import BucketStore
from streams.objects.opening import Storage
from streams.reports.evidently_report import Comparison
from streams.reports.keys import EXAMPLES, PAGE, SNAPSHOT
from streams.reports.page import page
from streams.reports.reporter import WAITING, Reporter, ReportRequest, missing, render, sides
from streams.topics import INFERENCE
from tests.streams.support.lakes import put
from tests.streams.support.traffic import START_MS, served, within
from tests.support.s3 import S3

pytestmark = pytest.mark.slow

VERSION = "support-0123456789ab"
ONSET_MS = START_MS + 200 * 60


def alarm(id: str = "a", report: str | None = "elsewhere") -> AlarmRaised:
    return AlarmRaised(
        id=id,
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


def filled(storage: Storage) -> Lake:
    events = [served("support", i) for i in range(100)]
    other = served("support", 7, version="support-ba9876543210")
    return put(Lake.of(storage), INFERENCE, [*events, other])


def order(storage: Storage, raised: AlarmRaised, events: int = 50) -> ReportRequest:
    return ReportRequest(raised, storage, events)


def test_the_sides_are_the_versions_rows_before_and_since_the_onset(storage: Storage) -> None:
    before, since = sides(filled(storage).read(INFERENCE, until_ms=START_MS + 200 * 91), alarm(), 20)
    assert before["offset"].to_pylist() == list(range(20))
    assert since["offset"].to_pylist() == list(range(71, 91))


def test_an_onset_younger_than_the_last_event_leaves_a_side_of_what_changed(storage: Storage) -> None:
    late = msgspec.structs.replace(alarm(), onset_ms=alarm().time_ms + 5_000)
    before, since = sides(filled(storage).read(INFERENCE, until_ms=late.time_ms + 1), late, 200)
    assert since["time_ms"].to_pylist() == [late.time_ms]
    assert before.num_rows == 90


def test_an_alarm_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no report"):
        render(order(within(tmp_path), alarm(report=None)))


def test_a_report_is_of_what_the_operator_looks_for_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(within(tmp_path))
    asked = ReportRequest(alarm(), within(tmp_path), 50, {"parcel": "parcel"})
    named: list[str] = []
    sizes: list[int] = []

    def compare(names: list[str], before: list[object], since: list[object], top: str) -> Comparison:
        named.extend(names)
        sizes.extend((len(before), len(since)))
        return Comparison(b"", b"")

    monkeypatch.setattr("streams.reports.evidently_report.compare", compare)
    render(ReportRequest.decoded(asked.encoded()))
    assert named[-1] == "output_policy_parcel"
    assert sizes == [50, 31]


def test_a_side_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reference has no rows"):
        render(order(within(tmp_path), alarm()))


def test_the_page_names_the_slice_and_shows_the_examples(storage: Storage) -> None:
    """Whatever address the alarm has: it may be another machine's."""
    filled(storage)
    slice = {"name": "language=<de>", "events": 9, "share": 0.5, "mean": 2.5, "elsewhere": 0.1, "errors": 7.0}
    slice |= {"before": 0.3, "elsewhere_before": 0.2}
    found = {"slice": {**slice, "measure": "score of prompt_chars"}, "examples": [served("support", 70).id, "lost"]}
    raised = msgspec.structs.replace(alarm(), evidence=found, summary="It changed")
    assert render(order(storage, raised)) == storage.address("reports/a.html")
    store = storage.objects()
    assert list(store.list("reports")) == ["reports/a.examples.jsonl", "reports/a.html", "reports/a.json"]
    text = store.get("reports/a.html").data.decode()
    assert "<h1>It changed</h1>" in text
    assert "language=&lt;de&gt; differs most from the rest: score of prompt_chars 2.50 in 9 events" in text
    assert "In the reference it was 0.30, and 0.20 elsewhere." in text
    assert served("support", 70).input_messages[-1].content in text
    (line,) = store.get("reports/a.examples.jsonl").data.splitlines()
    assert served("support", 70).id.encode() in line


class Killed(BaseException):
    """The renderer is no more."""


def test_the_page_says_where_only_people_act() -> None:
    assert "policy.mode was observe" not in page(alarm(), [])
    observed = msgspec.structs.replace(alarm(), evidence={"mode": "observe"})
    assert "policy.mode was observe: nothing is retrained, promoted or rolled back for it" in page(observed, [])


def test_a_renderer_that_dies_between_its_objects_leaves_no_page_and_the_next_one_all(storage: Storage) -> None:
    filled(storage)
    store = storage.objects()
    put = type(store).put_if_absent

    def dies(self: Any, key: str, content: bytes, **more: bool) -> bool:
        if key.endswith(".html"):
            raise Killed
        return bool(put(self, key, content, **more))

    with mock.patch.object(type(store), "put_if_absent", dies), pytest.raises(Killed):
        render(order(storage, alarm()))
    assert missing([alarm()], store) == [alarm()]
    render(order(storage, alarm()))
    assert missing([alarm()], store) == []
    assert len(list(store.list("reports"))) == 3


def test_a_browser_shows_what_is_in_a_bucket(s3: S3, tmp_path: Path) -> None:
    storage = Storage(s3.storage(tmp_path.name), tmp_path)
    filled(storage)
    render(order(storage, alarm()))
    kinds = {}
    store = storage.objects()
    assert isinstance(store, BucketStore)
    for suffix in (EXAMPLES, SNAPSHOT, PAGE):
        kinds[suffix] = obstore.get(store.remote, f"reports/a{suffix}").attributes["Content-Type"]
    assert kinds == {
        PAGE: "text/html; charset=utf-8",
        SNAPSHOT: "application/json",
        EXAMPLES: "application/x-ndjson",
    }


def renderers() -> list[psutil.Process]:
    return [each for each in psutil.Process().children(recursive=True) if "streams.reports.reporter" in _command(each)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # gone, or a zombie of another test
        return []


@pytest.mark.timeout(600)
async def test_a_renderer_that_is_killed_is_followed_by_another(storage: Storage) -> None:
    filled(storage)
    rendered = asyncio.create_task(Reporter(storage, 50).rendered(alarm()))
    while not (found := renderers()):  # noqa: ASYNC110  # another process's doing
        await asyncio.sleep(0.01)
    found[0].kill()
    assert await rendered
    assert b"<body>" in storage.objects().get("reports/a.html").data


def test_a_renderer_whose_worker_is_gone_ends_by_itself(tmp_path: Path) -> None:
    """Its disk answers no more, and nobody is left who would kill it."""
    filled(within(tmp_path))
    (stuck,) = (tmp_path / "lake" / "replies").rglob("*.parquet")
    stuck.unlink()
    os.mkfifo(stuck)
    code = "from streams.reports import reporter; reporter.TIMEOUT_S = 1; reporter.main()"
    asked = order(within(tmp_path), alarm()).encoded()
    done = subprocess.run([sys.executable, "-c", code], input=asked, timeout=60, check=False)
    assert done.returncode == -signal.SIGALRM


def test_alarms_that_want_no_page_or_have_one_hide_none_that_lacks_it(storage: Storage) -> None:
    store = storage.objects()
    store.put_if_absent("reports/there.html", b"done")
    lacking, there, bare = alarm("lacking"), alarm("there"), alarm("bare", report=None)
    assert missing([lacking, *[bare] * WAITING, *[there] * WAITING], store) == [lacking]
    assert missing([lacking], store, lacking.time_ms) == [lacking]
    assert missing([lacking], store, lacking.time_ms + 1) == [], "its rows are gone"


async def test_a_report_that_is_there_is_not_rendered_again(storage: Storage) -> None:
    storage.objects().put_if_absent("reports/a.html", b"done")
    assert await Reporter(storage, 50).rendered(alarm())
    assert storage.objects().get("reports/a.html").data == b"done"


async def test_reports_are_asked_for_once_and_only_so_many_wait(tmp_path: Path) -> None:
    reporter = Reporter(within(tmp_path), 10)
    reporter.ask(alarm(report=None))
    assert reporter.queue.empty()
    for _ in range(30):
        reporter.ask(alarm())
    assert reporter.queue.qsize() == 1
    for number in range(30):
        reporter.ask(alarm(str(number)))
    assert reporter.queue.full()


async def test_the_newest_alarms_report_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []

    async def note(self: Reporter, alarm: AlarmRaised) -> bool:
        rendered.append(alarm.id)
        return True

    monkeypatch.setattr(Reporter, "rendered", note)
    reporter = Reporter(within(tmp_path), 10)
    for number in range(3):
        reporter.ask(alarm(str(number)))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reporter.run(), 0.1)
    assert rendered == ["2", "1", "0"]
