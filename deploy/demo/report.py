"""The demo's report as `report.json` holds it, and the verdict on a run. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from deploy.demo.record import EventCounts, Expected, FeedbackCounts, Machine
from deploy.demo.wording import measured, percent, were
from deploy.show.times import duration
from monitor.metrics import YES_OR_NO

WON_BACK = 2 / 3  # of the accuracy that was lost: what counts as recovered
LEAST_ROWS = 100  # below this the page calls an accuracy uncertain

Verdict = Literal["recovered", "nothing", "failed"]


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of right answers; None where nothing was answered."""

    before: float | None
    drifted: float | None
    after: float | None


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of answers that the accuracies were measured on."""

    before: int
    drifted: int
    after: int


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """The requests as the clients saw them."""

    sent: int
    failed: int
    misattributed: int
    streamed: int


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter that was or wanted to be champion; `promoted_at` is RFC 3339, None if it never was."""

    version: str
    sha256: str
    trained_rows: int
    promoted_at: str | None
    answered: int


class Seconds(msgspec.Struct, frozen=True, kw_only=True):
    """The durations of the loop's steps; None where one did not happen."""

    setup: float | None
    onset_to_alarm: float | None
    alarm_to_candidate: float | None
    candidate_to_promoted: float | None
    promoted_to_first_reply: float | None
    total: float | None


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """The latency of the answered requests, and how many there were a second."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    requests_per_s: float


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """`report.json`."""

    model: str
    data: str
    expected: Expected
    outcome: Verdict
    sentence: str
    shortfalls: list[str]  # what was not as expected; empty when the demo succeeded
    metric: str  # of the answers; the next are its mean
    accuracy: Accuracy
    intervals: dict[str, tuple[float, float]]  # 95 %, Wilson
    rows: Rows
    requests: Requests
    feedback: FeedbackCounts
    events: EventCounts
    versions: list[Version]
    seconds: Seconds
    events_to_alarm: int | None
    alarms: list[dict[str, Any]]
    retrainings: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    latency: Latency
    marks: dict[str, str]
    machine: Machine
    problem: str


def outcome_of(accuracy: Accuracy, *, retrainings: int, promoted: bool, problem: str = "") -> Verdict:
    """Return the verdict. `recovered`: a new version was promoted and won back at least two thirds of what was lost.
    `nothing`: nothing was retrained. Anything else failed."""
    if problem:
        return "failed"
    if not retrainings and not promoted:
        return "nothing"
    if not promoted or None in (accuracy.before, accuracy.drifted, accuracy.after):
        return "failed"
    before, drifted, after = accuracy.before or 0.0, accuracy.drifted or 0.0, accuracy.after or 0.0
    lost = max(before - drifted, 0.0)
    return "recovered" if after >= drifted + WON_BACK * lost else "failed"


def shortfalls(
    expected: Expected, outcome: Verdict, requests: Requests, events: EventCounts, problem: str = ""
) -> list[str]:
    """List in words what was not as expected; empty when all was. After a problem the events were not waited for."""
    wanted = "recovered" if expected == "retrain" else "nothing"
    found = [(bool(problem), problem), (outcome != wanted, f"expected the outcome {wanted!r}, it was {outcome!r}")]
    found.append((requests.sent == 0, "no request was sent"))
    found.append((requests.failed > 0, f"{requests.failed} of {requests.sent} requests failed"))
    found.append((requests.misattributed > 0, f"{requests.misattributed} answers named the wrong version"))
    found += [] if problem else _unsettled(requests, events)
    return [words for holds, words in found if holds]


def _unsettled(requests: Requests, events: EventCounts) -> list[tuple[bool, str]]:
    """Check the counts of events: a request that failed may have an event or none, each other one has one."""
    least, most = requests.sent - requests.failed, requests.sent
    rest = events.captured - events.dead_lettered
    return [
        (not least <= events.captured <= most, f"{least} replies were given, {events.captured} are in the log"),
        (events.consumed != rest, f"{rest} events were to be consumed, {events.consumed} were"),
        (events.dead_lettered > 0, f"{events.dead_lettered} events could not be read"),
    ]


def succeeded(report: DemoReport, expected: Expected) -> bool:
    """Check that the expected outcome happened, and nothing was lost on the way."""
    return not shortfalls(expected, report.outcome, report.requests, report.events, report.problem)


def sentence(
    outcome: Verdict, accuracy: Accuracy, at: dict[str, int], problem: str = "", metric: str = "exact_match"
) -> str:
    """Summarise the run in one sentence."""
    before, drifted, after = (percent(share) for share in (accuracy.before, accuracy.drifted, accuracy.after))
    if problem:
        return f"The demo had to stop: {problem}"
    if outcome == "nothing":
        return f"Nothing had to be done: {were(metric, accuracy.before)} before the change, {drifted} after it."
    if outcome == "recovered":
        later = duration((at["promoted"] - at["onset"]) / 1_000)
        return (
            f"Recovered: when the world changed, {measured(metric)} fell from {before} to {drifted}; {later} later a "
            f"retrained version was serving, and {_are(metric, after)}."
        )
    return f"Not recovered: {measured(metric)}: {before} before the change, {drifted} after it, {after} at the end."


def _are(metric: str, after: str) -> str:
    return f"{after} of its answers are right" if metric in YES_OR_NO else f"its {measured(metric)} is {after}"
