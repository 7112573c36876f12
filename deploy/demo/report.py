"""The demo's report: what `report.json` holds, and how it follows from a run. Pure; `deploy.demo.page` writes it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from deploy.demo.clients import Outcome
from deploy.demo.record import ENDED, Events, Expected, FeedbackCounts, Machine, Run, champions, marks, verdicts
from deploy.show.intervals import wilson
from streams.codec import rfc3339
from streams.events import AlarmRaised, RetrainReported

WON_BACK = 2 / 3  # of the accuracy that was lost: what counts as recovered
LEAST_ROWS = 100  # below this an accuracy is said to be uncertain

Verdict = Literal["recovered", "nothing", "failed"]


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of right answers; None where nothing was answered."""

    before: float | None
    drifted: float | None
    after: float | None


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """What the accuracies were measured on."""

    before: int
    drifted: int
    after: int


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """As the clients saw them."""

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
    """How long it took; None where it did not happen."""

    setup: float | None
    onset_to_alarm: float | None
    alarm_to_candidate: float | None
    candidate_to_promoted: float | None
    promoted_to_first_reply: float | None
    total: float | None


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Of the answered requests, in milliseconds; and how many a second."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    requests_per_s: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`report.json`."""

    model: str
    data: str
    expected: Expected
    outcome: Verdict
    sentence: str
    shortfalls: list[str]  # what was not as expected; empty when the demo succeeded
    accuracy: Accuracy
    intervals: dict[str, tuple[float, float]]  # 95 %, Wilson
    rows: Rows
    requests: Requests
    feedback: FeedbackCounts
    events: Events
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


def summarise(run: Run) -> Report:
    """The report on a run; depends on nothing else."""
    at, measured = marks(run), _measured(run)
    shares = {name: _share(found) for name, found in measured.items()}
    accuracy = Accuracy(**shares)
    retrained, judged = _retrainings(run), verdicts(run)
    outcome = outcome_of(accuracy, retrainings=len(retrained), promoted=_promoted(run), problem=run.problem)
    requests = _requests(run)
    return Report(
        model=run.model,
        data=run.data,
        expected=run.expected,
        outcome=outcome,
        sentence=sentence(outcome, accuracy, at, run.problem),
        shortfalls=shortfalls(run.expected, outcome, requests, run.events, run.problem),
        accuracy=accuracy,
        intervals={name: _interval(found) for name, found in measured.items() if found},
        rows=Rows(**{name: len(found) for name, found in measured.items()}),
        requests=requests,
        feedback=run.feedback,
        events=run.events,
        versions=_versions(run),
        seconds=_seconds(run, at),
        events_to_alarm=_events_to_alarm(run, at),
        alarms=[_alarm(alarm) for alarm in run.alarms],
        retrainings=retrained,
        verdicts=[_verdict(result) for result in judged],
        latency=_latency(run),
        marks={name: rfc3339(when) for name, when in sorted(at.items(), key=lambda item: item[1])},
        machine=run.machine,
        problem=run.problem,
    )


def outcome_of(accuracy: Accuracy, *, retrainings: int, promoted: bool, problem: str = "") -> Verdict:
    """`recovered`: a new version was promoted and won back at least two thirds of what was lost. `nothing`: nothing
    was retrained. Anything else failed."""
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
    expected: Expected, outcome: Verdict, requests: Requests, events: Events, problem: str = ""
) -> list[str]:
    """What was not as it should be, in words; empty when all was. After a problem nobody waited for the events."""
    wanted = "recovered" if expected == "retrain" else "nothing"
    found = [(bool(problem), problem), (outcome != wanted, f"expected the outcome {wanted!r}, it was {outcome!r}")]
    found.append((requests.sent == 0, "no request was sent"))
    found.append((requests.failed > 0, f"{requests.failed} of {requests.sent} requests failed"))
    found.append((requests.misattributed > 0, f"{requests.misattributed} answers named the wrong version"))
    found += [] if problem else _unsettled(requests, events)
    return [words for holds, words in found if holds]


def _unsettled(requests: Requests, events: Events) -> list[tuple[bool, str]]:
    """A request that failed may have an event or none; each other one has one."""
    least, most = requests.sent - requests.failed, requests.sent
    rest = events.captured - events.dead_lettered
    return [
        (not least <= events.captured <= most, f"{least} replies were given, {events.captured} are in the log"),
        (events.consumed != rest, f"{rest} events were to be consumed, {events.consumed} were"),
        (events.dead_lettered > 0, f"{events.dead_lettered} events could not be read"),
    ]


def succeeded(report: Report, expected: Expected) -> bool:
    """Whether what was expected happened, and nothing was lost on the way."""
    return not shortfalls(expected, report.outcome, report.requests, report.events, report.problem)


def sentence(outcome: Verdict, accuracy: Accuracy, at: dict[str, int], problem: str = "") -> str:
    """The whole story in one sentence."""
    before, drifted, after = (percent(share) for share in (accuracy.before, accuracy.drifted, accuracy.after))
    if problem:
        return f"The demo had to stop: {problem}"
    if outcome == "nothing":
        return f"Nothing had to be done: {before} of the answers were right before the change, {drifted} after it."
    if outcome == "recovered":
        minutes = (at["promoted"] - at["onset"]) / 60_000
        return (
            f"Recovered: when the world changed, right answers fell from {before} to {drifted}; {minutes:.0f} minutes "
            f"later a retrained version was serving, and {after} of its answers are right."
        )
    return f"Not recovered: right answers were {before} before the change, {drifted} after it, {after} at the end."


def percent(share: float | None) -> str:
    """A share in words.

    >>> percent(0.953), percent(None)
    ('95 %', 'none')
    """
    return "none" if share is None else f"{100 * share:.0f} %"


def _measured(run: Run) -> dict[str, list[Outcome]]:
    """The answers that each accuracy is about. `after`: rows sent once the new champion was promoted, never before."""
    changes = champions(run)
    first = changes[0][1] if changes else next((o.version for o in run.outcomes if o.version), "")
    since, last = changes[-1] if _promoted(run) else (0, "")
    known = [o for o in run.outcomes if o.correct is not None]
    return {
        "before": [o for o in known if o.phase == "before" and o.version == first],
        "drifted": [o for o in known if o.phase == "after" and o.version == first],
        "after": [o for o in known if last and o.phase == "after" and o.version == last and o.sent_ms >= since],
    }


def _promoted(run: Run) -> bool:
    """Whether another version than the first is champion in the end."""
    changes = champions(run)
    return bool(changes) and changes[-1][1] != changes[0][1]


def _share(outcomes: list[Outcome]) -> float | None:
    return round(sum(bool(o.correct) for o in outcomes) / len(outcomes), 4) if outcomes else None


def _interval(outcomes: list[Outcome]) -> tuple[float, float]:
    low, high = wilson(sum(bool(o.correct) for o in outcomes), len(outcomes))
    return round(low, 4), round(high, 4)


def _requests(run: Run) -> Requests:
    return Requests(
        sent=len(run.outcomes),
        failed=sum(o.failed for o in run.outcomes),
        misattributed=sum(o.misattributed for o in run.outcomes),
        streamed=sum(o.streamed for o in run.outcomes),
    )


def _versions(run: Run) -> list[Version]:
    digests = {version: digest for route in run.routes for version, digest in route.adapters.items()}
    digests |= {r.candidate: r.digest for r in run.results if r.candidate and r.digest}
    rows = {r.candidate: r.trained_rows for r in run.results if r.candidate and r.trained_rows}
    since: dict[str, int] = {}
    for time_ms, version in champions(run):
        since.setdefault(version, time_ms)
        rows.setdefault(version, run.champion_rows if len(since) == 1 else 0)
    names = dict.fromkeys([*since, *digests])
    return [
        Version(
            version=name,
            sha256=digests.get(name, ""),
            trained_rows=rows.get(name, 0),
            promoted_at=rfc3339(since[name]) if name in since else None,
            answered=sum(o.version == name and not o.failed for o in run.outcomes),
        )
        for name in names
    ]


def _seconds(run: Run, at: dict[str, int]) -> Seconds:
    candidate = "trained" if "trained" in at else "verdict"
    return Seconds(
        setup=_between(at, "started", "ready"),
        onset_to_alarm=_between(at, "onset", "alarm"),
        alarm_to_candidate=_between(at, "alarm", candidate),
        candidate_to_promoted=_between(at, candidate, "promoted"),
        promoted_to_first_reply=_first_reply_s(run),
        total=_between(at, "started", "finished"),
    )


def _between(at: dict[str, int], one: str, other: str) -> float | None:
    return round((at[other] - at[one]) / 1000, 3) if one in at and other in at else None


def _first_reply_s(run: Run) -> float | None:
    """From the promotion's record to the first answer, afterwards, by the promoted version."""
    if not _promoted(run):
        return None
    since, version = champions(run)[-1]
    replies = [o.answered_ms for o in run.outcomes if o.version == version and not o.failed and o.answered_ms >= since]
    return round((min(replies) - since) / 1000, 3) if replies else None


def _events_to_alarm(run: Run, at: dict[str, int]) -> int | None:
    """Answers to rows of the changed world until the alarm."""
    if "alarm" not in at:
        return None
    return sum(o.phase == "after" and o.answered_ms <= at["alarm"] for o in run.outcomes)


def _alarm(alarm: AlarmRaised) -> dict[str, Any]:
    names = ("id", "kind", "severity", "version", "time_ms", "onset_ms", "summary", "report", "evidence")
    return {name: msgspec.to_builtins(getattr(alarm, name)) for name in names}


def _retrainings(run: Run) -> list[dict[str, Any]]:
    """Each retraining that was asked for, and how it stands: its end, or the last that was heard of it."""
    found: dict[str, dict[str, Any]] = {
        request.id: {
            "request_id": request.id,
            "status": "requested",
            "reason": request.reason,
            "time_ms": request.time_ms,
        }
        for request in run.requests
    }
    for result in run.results:
        if found.get(result.request_id, {}).get("status") not in ENDED:
            found[result.request_id] = {"request_id": result.request_id} | _verdict(result)
    return list(found.values())


def _verdict(result: RetrainReported) -> dict[str, Any]:
    names = (
        "status",
        "candidate",
        "trained_rows",
        "time_ms",
        "mlflow_run",
        "dataset_digest",
        "checks",
        "metrics",
        "reason",
    )
    return {name: msgspec.to_builtins(getattr(result, name)) for name in names}


def _latency(run: Run) -> Latency:
    good = [o for o in run.outcomes if not o.failed]
    waits = sorted(o.answered_ms - o.sent_ms for o in good)
    span_s = (max(o.answered_ms for o in good) - min(o.sent_ms for o in good)) / 1000 if good else 0.0
    p50, p95, p99 = (
        float(waits[min(int(q * len(waits)), len(waits) - 1)]) if waits else 0.0 for q in (0.5, 0.95, 0.99)
    )
    return Latency(p50_ms=p50, p95_ms=p95, p99_ms=p99, requests_per_s=round(len(good) / span_s, 2) if span_s else 0.0)
