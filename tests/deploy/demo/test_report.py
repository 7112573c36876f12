from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from deploy.demo.page import history, links, render, trials, write
from deploy.demo.record import DemoRecord, EventCounts, champions, marks
from deploy.demo.report import Accuracy, DemoReport, outcome_of, succeeded
from deploy.demo.summary import summarise
from deploy.show.checks import MINUS
from retrain.evaluation.gate import GateInput, judge
from streams import codec
from streams.events import RetrainRequested
from streams.kinds import AlarmKind
from tests.deploy.support.demo_run import FIRST, SECOND, alarm, failed, healthy, outcome, recovered, route

RUN = recovered()
REPORT = summarise(RUN)


def accuracy(before: float | None, drifted: float | None, after: float | None) -> Accuracy:
    return Accuracy(before=before, drifted=drifted, after=after)


def test_a_recovered_run_is_summed_up() -> None:
    assert REPORT.outcome == "recovered"
    assert succeeded(REPORT, "retrain")
    assert REPORT.shortfalls == []
    assert REPORT.sentence.startswith("Recovered: when the world changed, right answers fell from 96 % to 36 %; ")
    assert " 3 min 30 s later a retrained version was serving" in REPORT.sentence
    assert REPORT.requests.sent == len(RUN.outcomes)
    assert [verdict["status"] for verdict in REPORT.verdicts] == ["promote"]
    assert REPORT.verdicts[0]["metrics"] == {"left_out_share": 0.1}
    assert [retraining["status"] for retraining in REPORT.retrainings] == ["promote"]
    assert REPORT.seconds.onset_to_alarm == 6.5
    assert REPORT.seconds.alarm_to_candidate == 183.5
    assert REPORT.seconds.candidate_to_promoted == 20.0
    assert 0 <= (REPORT.seconds.promoted_to_first_reply or -1) < 2
    assert REPORT.events_to_alarm == 56


def test_accuracy_is_measured_on_who_answered_which_rows_when() -> None:
    onset, promoted = RUN.marks["onset"], RUN.marks["promoted"]
    rows = [
        outcome(1, onset - 9_000, correct=True),
        outcome(2, onset - 8_000, correct=False),
        outcome(3, onset + 1_000, phase="after", correct=False),
        outcome(4, promoted - 2_000, phase="after", version=SECOND, correct=True),  # the canary: counts for neither
        outcome(5, promoted - 100, phase="after", version=SECOND, correct=False),  # sent before the promotion
        outcome(6, promoted + 1, phase="after", version=SECOND, correct=True),
        outcome(7, promoted + 5, phase="after", version=FIRST, correct=True),
        failed(8, promoted + 9),
    ]
    report = summarise(replace(RUN, outcomes=rows))
    assert (report.rows.before, report.rows.drifted, report.rows.after) == (2, 2, 1)
    assert report.accuracy == accuracy(0.5, 0.5, 1.0)
    assert report.requests.failed == 1


def test_the_first_record_of_a_generation_wins() -> None:
    assert [version for _, version in champions(RUN)] == [FIRST, SECOND]


def test_versions_tell_bytes_rows_and_when_they_were_promoted() -> None:
    first, second = REPORT.versions
    assert (first.version, first.trained_rows, second.version, second.trained_rows) == (FIRST, 650, SECOND, 512)
    assert second.sha256.startswith(SECOND.removeprefix("support-"))
    assert second.promoted_at == "2025-10-09T09:01:25.000Z"


def test_a_healthy_run_needs_nothing() -> None:
    report = summarise(healthy())
    assert report.outcome == "nothing"
    assert succeeded(report, "nothing")
    assert not succeeded(report, "retrain")
    assert report.accuracy.after is None
    assert report.events_to_alarm is None


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (accuracy(0.95, 0.35, 0.90), "recovered"),
        (accuracy(0.95, 0.35, 0.75), "recovered"),
        (accuracy(0.95, 0.35, 0.74), "failed"),
        (accuracy(0.95, 0.35, 0.30), "failed"),
        (accuracy(0.90, 0.92, 0.93), "recovered"),
        (accuracy(0.90, 0.92, 0.89), "failed"),
        (accuracy(0.95, 0.35, None), "failed"),
        (accuracy(None, 0.35, 0.9), "failed"),
    ],
)
def test_recovered_means_that_two_thirds_of_the_loss_are_won_back(measured: Accuracy, expected: str) -> None:
    assert outcome_of(measured, retrainings=1, promoted=True) == expected


def test_a_retraining_that_promotes_nothing_has_failed_and_a_problem_too() -> None:
    measured = accuracy(0.95, 0.35, None)
    assert outcome_of(measured, retrainings=1, promoted=False) == "failed"
    assert outcome_of(measured, retrainings=0, promoted=False) == "nothing"
    assert outcome_of(measured, retrainings=0, promoted=False, problem="no memory") == "failed"


def test_a_retraining_asked_for_is_one_even_if_no_trainer_took_it() -> None:
    asked = RetrainRequested(id="r", alias="a", champion=FIRST, time_ms=1, alarm_id="x", since_ms=0, reason="harm")
    report = summarise(replace(healthy(), requests=[asked]))
    assert [retraining["status"] for retraining in report.retrainings] == ["requested"]
    assert report.outcome == "failed"


def test_a_promotion_that_was_rolled_back_is_none() -> None:
    back = replace(RUN, routes=[*RUN.routes, route(4, RUN.marks["finished"] - 10, FIRST)])
    assert summarise(back).outcome == "failed"
    assert summarise(back).accuracy.after is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"outcomes": [*RUN.outcomes, failed(1, RUN.marks["finished"])]}, "1 of 1992 requests failed"),
        ({"outcomes": [replace(o, model="other") for o in RUN.outcomes[:3]]}, "3 answers named the wrong version"),
        ({"events": EventCounts(published=1990, consumed=1990)}, "1991 replies were given, 1990 are in the log"),
        ({"events": EventCounts(published=1992, consumed=1992)}, "1991 replies were given, 1992 are in the log"),
        ({"events": EventCounts(published=1991, consumed=1990)}, "1991 events were to be consumed, 1990 were"),
        (
            {"events": EventCounts(published=1991, consumed=1991, duplicates=1)},
            "1990 events were to be consumed, 1991 were",
        ),
        ({"events": EventCounts(published=1991, consumed=1989, dead_lettered=2)}, "2 events could not be read"),
        ({"problem": "vLLM ended"}, "vLLM ended"),
        ({"outcomes": []}, "no request was sent"),
    ],
)
def test_whatever_went_wrong_is_said_and_is_no_success(change: dict[str, object], words: str) -> None:
    report = summarise(replace(RUN, **change))
    assert words in report.shortfalls
    assert not succeeded(report, "retrain")


def test_a_record_that_a_shipper_repeated_and_the_worker_dropped_is_no_shortfall() -> None:
    repeated = replace(RUN, events=EventCounts(published=1993, consumed=1991, duplicates=2))
    assert summarise(repeated).shortfalls == []


def test_a_request_that_failed_may_have_an_event_or_none() -> None:
    outcomes = [*RUN.outcomes, failed(1, RUN.marks["finished"])]
    for events in (EventCounts(published=1991, consumed=1991), EventCounts(published=1992, consumed=1992)):
        assert summarise(replace(RUN, outcomes=outcomes, events=events)).shortfalls == ["1 of 1992 requests failed"]


def test_where_the_demo_had_to_stop_nobody_waited_for_its_events() -> None:
    assert summarise(replace(RUN, events=EventCounts(), problem="vLLM ended")).shortfalls[0] == "vLLM ended"
    assert not any("log" in words for words in summarise(replace(RUN, events=EventCounts(), problem="x")).shortfalls)


@pytest.mark.slow
def test_a_run_that_broke_off_at_once_still_has_a_report(tmp_path: Path) -> None:
    run = DemoRecord(model="m", data="d", expected="retrain", outcomes=[], problem="port 8000 is in use")
    assert write(run, tmp_path).outcome == "failed"
    assert "port 8000 is in use" in (tmp_path / "report.html").read_text()


def test_marks_come_from_the_log_where_the_run_names_none() -> None:
    found = marks(replace(RUN, marks={}))
    for name in ("onset", "promoted", "finished"):
        assert abs(found[name] - RUN.marks[name]) < 2_000, name
    assert found["alarm"] == RUN.alarms[0].time_ms
    assert found["requested"] == RUN.requests[0].time_ms


class Page(HTMLParser):
    """What a browser would load, and whether tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.labels: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag in ("script", "link", "img", "iframe", "use") and not (given.get("xlink:href") or "").startswith("#"):
            self.loaded.append(f"{tag} {given}")
        if given.get("role") == "img":
            self.labels.append(given.get("aria-label") or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a recovered run, written."""
    path = tmp_path_factory.mktemp("demo") / "deep"
    assert write(RUN, path) == REPORT
    return path


@pytest.mark.slow
def test_the_files_are_written_and_the_page_stands_alone(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {"ledger.jsonl", "report.html", "report.json", "timeline.svg"}
    html = (folder / "report.html").read_text()
    page = Page()
    page.feed(html)
    assert (page.open, page.loaded) == ([], [])
    assert "96 % of the answers were right before the change" in page.labels[0]
    assert [label for label in page.labels if not label] == []
    assert re.findall(r"url\((?!#)|@import", html) == []
    assert REPORT.sentence in html
    assert f"{MINUS}1.2" in html
    assert len((folder / "ledger.jsonl").read_text().splitlines()) == len(RUN.ledger)


def test_report_json_has_the_promised_fields(folder: Path) -> None:
    found = json.loads((folder / "report.json").read_text())
    promised = {
        *("model", "data", "expected", "outcome", "accuracy", "rows", "requests", "events", "versions", "seconds"),
        *("events_to_alarm", "alarms", "retrainings", "verdicts"),
    }
    assert promised <= set(found)
    assert set(found["accuracy"]) == set(found["rows"]) == {"before", "drifted", "after"}
    assert {"sent", "failed", "misattributed"} <= set(found["requests"])
    assert set(found["events"]) == {"published", "consumed", "duplicates", "dead_lettered"}
    assert {"version", "sha256", "trained_rows", "promoted_at"} <= set(found["versions"][0])
    assert {"setup", "onset_to_alarm", "alarm_to_candidate", "candidate_to_promoted", "total"} <= set(found["seconds"])


def test_what_comes_from_outside_is_escaped(tmp_path: Path) -> None:
    run = replace(RUN, data="<script>alert(1)</script>")
    assert "<script>" not in render(run, summarise(run), "<svg></svg>", tmp_path)


def test_the_history_is_in_order_with_times_since_the_change() -> None:
    steps = history(RUN)
    assert [step.time_ms for step in steps] == sorted(step.time_ms for step in steps)
    assert [step.who for step in steps] == [
        *("Demo", "Demo", "Alarm", "Alarm", "Policy", "Gate", "Rollout", "Rollout", "Demo")
    ]
    assert (steps[1].when, steps[2].when) == ("+0:00", "+0:06")


def test_links_are_relative_and_only_to_what_is_there(tmp_path: Path) -> None:
    evidence = tmp_path / "reports" / "a.html"
    evidence.parent.mkdir()
    evidence.write_text("")
    with_report = replace(alarm(AlarmKind.QUALITY, 1, 0, "x"), report=str(evidence))
    gone = replace(with_report, report=str(tmp_path / "gone.html"))
    run = replace(RUN, alarms=[with_report, gone], links={"MLflow": "http://127.0.0.1:5000"})
    assert links(run, tmp_path / "demo") == [
        ("Evidence of the quality alarm (Evidently)", "../reports/a.html"),
        ("MLflow", "http://127.0.0.1:5000"),
    ]


def test_a_check_is_the_gates_own_record() -> None:
    """As the trainer writes a verdict into its result, so the page reads it."""
    same, better, worse = [(1.0, 1.0)] * 100, [(1.0, 0.0)] * 30, [(0.0, 1.0)] * 30
    levels = {"min_gain": 0.05, "margin": 0.1, "slice_margin": 0.25, "min_slice": 30, "alpha": 0.05}
    asked = GateInput(candidate=SECOND, champion=FIRST, target=better, regression=same, slices={"a": worse}, **levels)  # type: ignore[arg-type]
    verdict = judge(asked)
    result = replace(RUN.results[-1], checks=[codec.plain(check) for check in verdict.checks])
    (trial,) = trials(replace(RUN, results=[result]))
    assert trial.checks == verdict.checks
    assert {check.passed for check in trial.checks} == {True, False}


def test_a_check_that_no_gate_wrote_is_refused() -> None:
    result = replace(RUN.results[-1], checks=[{"name": "target", "value": 0.1}])
    with pytest.raises(msgspec.ValidationError, match="passed"):
        trials(replace(RUN, results=[result]))


@pytest.mark.parametrize(("passed", "shown"), [(True, "yes"), (False, "no"), (None, "undecided")])
def test_whether_a_check_passed_is_shown(passed: bool | None, shown: str, tmp_path: Path) -> None:
    check = {**RUN.results[-1].checks[0], "passed": passed}
    run = replace(RUN, results=[replace(RUN.results[-1], checks=[check])])
    html = render(run, summarise(run), "<svg></svg>", tmp_path)
    assert re.findall(r"(yes|no|undecided)(?:</span>)?</td></tr>", html) == [shown]


def test_the_report_depends_on_nothing_but_the_run() -> None:
    again: DemoReport = summarise(recovered())
    assert again == REPORT
