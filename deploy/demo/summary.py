"""From a run to its report: accuracies, times, versions, latency. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from deploy.demo.clients import RequestOutcome
from deploy.demo.record import DemoRecord, champions, marks, verdicts
from deploy.demo.report import (
    Accuracy,
    DemoReport,
    Latency,
    Requests,
    Rows,
    Seconds,
    Version,
    outcome_of,
    sentence,
    shortfalls,
)
from deploy.show.intervals import wilson
from retrain.claims import ENDED
from streams.codec import rfc3339
from streams.events import AlarmRaised, RetrainReported


def summarise(run: DemoRecord) -> DemoReport:
    """Return the report on a run; it depends on nothing else."""
    at, measured = marks(run), _measured(run)
    shares = {name: _share(found) for name, found in measured.items()}
    accuracy = Accuracy(**shares)
    retrained, judged = _retrainings(run), verdicts(run)
    outcome = outcome_of(accuracy, retrainings=len(retrained), promoted=_promoted(run), problem=run.problem)
    requests = _requests(run)
    return DemoReport(
        model=run.model,
        data=run.data,
        expected=run.expected,
        metric=run.metric,
        outcome=outcome,
        sentence=sentence(outcome, accuracy, at, run.problem, run.metric),
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


def _measured(run: DemoRecord) -> dict[str, list[RequestOutcome]]:
    """Return the answers behind each accuracy. `after`: rows sent once the new champion was promoted, never before."""
    changes = champions(run)
    first = changes[0][1] if changes else next((o.version for o in run.outcomes if o.version), "")
    since, last = changes[-1] if _promoted(run) else (0, "")
    known = [o for o in run.outcomes if o.loss is not None]
    return {
        "before": [o for o in known if o.phase == "before" and o.version == first],
        "drifted": [o for o in known if o.phase == "after" and o.version == first],
        "after": [o for o in known if last and o.phase == "after" and o.version == last and o.sent_ms >= since],
    }


def _promoted(run: DemoRecord) -> bool:
    """Check that another version than the first is champion in the end."""
    changes = champions(run)
    return bool(changes) and changes[-1][1] != changes[0][1]


def _share(outcomes: list[RequestOutcome]) -> float | None:
    return round(_good(outcomes) / len(outcomes), 4) if outcomes else None


def _good(outcomes: list[RequestOutcome]) -> float:
    return sum(1.0 - o.loss for o in outcomes if o.loss is not None)


def _interval(outcomes: list[RequestOutcome]) -> tuple[float, float]:
    low, high = wilson(_good(outcomes), len(outcomes))
    return round(low, 4), round(high, 4)


def _requests(run: DemoRecord) -> Requests:
    return Requests(
        sent=len(run.outcomes),
        failed=sum(o.failed for o in run.outcomes),
        misattributed=sum(o.misattributed for o in run.outcomes),
        streamed=sum(o.streamed for o in run.outcomes),
    )


def _versions(run: DemoRecord) -> list[Version]:
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


def _seconds(run: DemoRecord, at: dict[str, int]) -> Seconds:
    return Seconds(
        setup=_between(at, "started", "ready"),
        onset_to_alarm=_between(at, "onset", "alarm"),
        alarm_to_candidate=_between(at, "alarm", "verdict"),
        candidate_to_promoted=_between(at, "verdict", "promoted"),
        promoted_to_first_reply=_first_reply_s(run),
        total=_between(at, "started", "finished"),
    )


def _between(at: dict[str, int], one: str, other: str) -> float | None:
    return round((at[other] - at[one]) / 1000, 3) if one in at and other in at else None


def _first_reply_s(run: DemoRecord) -> float | None:
    """Return the time from the promotion's record to the promoted version's first answer after it."""
    if not _promoted(run):
        return None
    since, version = champions(run)[-1]
    replies = [o.answered_ms for o in run.outcomes if o.version == version and not o.failed and o.answered_ms >= since]
    return round((min(replies) - since) / 1000, 3) if replies else None


def _events_to_alarm(run: DemoRecord, at: dict[str, int]) -> int | None:
    """Count the answers to rows of the changed world until the alarm."""
    if "alarm" not in at:
        return None
    return sum(o.phase == "after" and o.answered_ms <= at["alarm"] for o in run.outcomes)


def _alarm(alarm: AlarmRaised) -> dict[str, Any]:
    names = ("id", "kind", "severity", "version", "time_ms", "onset_ms", "summary", "report", "evidence")
    return {name: msgspec.to_builtins(getattr(alarm, name)) for name in names}


def _retrainings(run: DemoRecord) -> list[dict[str, Any]]:
    """List the retrainings that were requested, each with its end, or with the last report on it."""
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


def _latency(run: DemoRecord) -> Latency:
    good = [o for o in run.outcomes if not o.failed]
    waits = sorted(o.answered_ms - o.sent_ms for o in good)
    span_s = (max(o.answered_ms for o in good) - min(o.sent_ms for o in good)) / 1000 if good else 0.0
    p50, p95, p99 = (
        float(waits[min(int(q * len(waits)), len(waits) - 1)]) if waits else 0.0 for q in (0.5, 0.95, 0.99)
    )
    return Latency(p50_ms=p50, p95_ms=p95, p99_ms=p99, requests_per_s=round(len(good) / span_s, 2) if span_s else 0.0)
