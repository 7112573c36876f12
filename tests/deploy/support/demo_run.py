"""A demo that never ran: outcomes and records as a real one leaves them, made up from a seed."""

from __future__ import annotations

import math
from random import Random

from deploy.demo.clients import Phase, RequestOutcome
from deploy.demo.record import DemoRecord, EventCounts, Expected, FeedbackCounts, Machine
from streams.events import AlarmRaised, DecisionRecorded, RetrainReported, RetrainRequested, RouteWritten, WindowClosed
from streams.kinds import AlarmKind, DecisionKind, RetrainStatus, Severity

START = 1_760_000_000_000
DIGESTS = {"support-" + d[:12]: d for d in ("3f9a1c77b0e2" + "4d" * 26, "a81be55d0c94" + "7e" * 26)}
FIRST, SECOND = DIGESTS


def outcome(
    index: int, at_ms: int, *, phase: Phase = "before", version: str = FIRST, correct: bool = True, wait_ms: int = 600
) -> RequestOutcome:
    """An answered request."""
    return RequestOutcome(
        row_index=index,
        phase=phase,
        client="client-01",
        sent_ms=at_ms,
        answered_ms=at_ms + wait_ms,
        status=200,
        streamed=index % 10 == 0,
        version=version,
        model=version,
        request_id=f"{index}",
        answer="reset password",
        correct=correct,
    )


def failed(index: int, at_ms: int) -> RequestOutcome:
    """A request that the gateway did not answer."""
    return RequestOutcome(
        row_index=index,
        phase="after",
        client="client-01",
        sent_ms=at_ms,
        answered_ms=at_ms + 5,
        status=503,
        streamed=False,
        error="busy",
    )


def route(generation: int, at_ms: int, champion: str, canary: str | None = None) -> RouteWritten:
    return RouteWritten(
        alias="support",
        generation=generation,
        champion=champion,
        adapters=DIGESTS if canary or champion == SECOND else {FIRST: DIGESTS[FIRST]},
        time_ms=at_ms,
        by="controller",
        canary=canary,
        weight=0.2 if canary else 0.0,
    )


def window(start_ms: int, version: str, **evidence: float) -> WindowClosed:
    return WindowClosed(
        id=f"{version}/{start_ms}",
        alias="support",
        version=version,
        start_ms=start_ms,
        end_ms=start_ms + 5_000,
        requests=40,
        errors=0,
        labelled=20,
        loss=2.0,
        estimated_accuracy=0.9,
        latency_p50_ms=600,
        latency_p95_ms=1200,
        evidence=evidence,
    )


def alarm(kind: AlarmKind, at_ms: int, onset_ms: int, summary: str) -> AlarmRaised:
    return AlarmRaised(
        id=f"alarm-{kind}",
        alias="support",
        version=FIRST,
        kind=kind,
        severity=Severity.CRITICAL if kind is AlarmKind.QUALITY else Severity.INFO,
        time_ms=at_ms,
        first_event="a",
        last_event="b",
        onset_ms=onset_ms,
        evidence={"statistic": 12_000.0, "threshold": 10_000},
        summary=summary,
    )


def entry(kind: DecisionKind, at_ms: int, summary: str) -> DecisionRecorded:
    return DecisionRecorded(
        id=f"{kind}-{at_ms}",
        alias="support",
        time_ms=at_ms,
        kind=kind,
        function="operator",
        inputs={},
        output=None,
        summary=summary,
    )


def healthy(expected: Expected = "nothing") -> DemoRecord:
    """The world stays as it was; nothing happens."""
    rng = Random(1)
    ready = START + 200_000
    outcomes = [
        outcome(i, ready + 130 * i, phase="before" if i < 650 else "after", correct=rng.random() < 0.95)
        for i in range(1650)
    ]
    onset = ready + 130 * 650
    windows = [
        window(t, FIRST, quality=-2.5 + 0.6 * math.sin(t / 9e3), drift=-1.8 + 0.9 * math.cos(t / 7e3))
        for t in range(ready + 40_000, outcomes[-1].answered_ms, 5_000)
    ]
    return DemoRecord(
        model="gemma-3-270m",
        data="own world, shift: none",
        expected=expected,
        outcomes=outcomes,
        windows=windows,
        routes=[route(1, START + 190_000, FIRST)],
        marks={"started": START, "ready": ready, "onset": onset, "finished": outcomes[-1].answered_ms},
        events=EventCounts(published=1650, consumed=1650),
        champion_rows=650,
    )


def recovered() -> DemoRecord:
    """The whole loop: harm, alarm, retraining, promotion, recovery."""
    rng = Random(7)
    ready = START + 210_000
    onset = ready + 65_000
    alarm_at, asked, trained = onset + 6_500, onset + 45_000, onset + 176_000
    verdict, canary, promoted = trained + 14_000, trained + 16_000, trained + 34_000
    outcomes: list[RequestOutcome] = []
    at, index = ready, 0
    while at < promoted + 70_000:
        phase: Phase = "before" if at < onset else "after"
        new = at >= promoted or (canary <= at < promoted and rng.random() < 0.2)
        accuracy = 0.955 if phase == "before" else 0.912 if new else 0.37
        version = SECOND if new else FIRST
        right, wait = rng.random() < accuracy, int(rng.gauss(650, 120))
        outcomes.append(outcome(index, at, phase=phase, version=version, correct=right, wait_ms=max(wait, 200)))
        at += 1_600 if asked <= at < verdict else 105
        index += 1
    finished = outcomes[-1].answered_ms
    windows = []
    for t in range(ready + 30_000, finished, 5_000):
        since = (t - onset) / 1000
        quality = -2.6 + 0.4 * math.sin(t / 8e3) if since < 0 else min(-2.0 + 0.35 * since, 6)
        drift = -2.2 + 0.5 * math.cos(t / 7e3) if since < 0 else min(-1.5 + 0.16 * since, 6)
        if t < promoted:
            windows.append(window(t, FIRST, quality=quality, drift=drift, estimated_quality=-3 + 0.05 * max(since, 0)))
        elif t > promoted + 25_000:
            windows.append(window(t, SECOND, quality=-2.4 + 0.3 * math.sin(t / 6e3), drift=-2.0))
    checks = [
        {
            "name": "target",
            "passed": True,
            "estimate": 0.53,
            "low": 0.41,
            "high": 0.64,
            "needed": 0.05,
            "rows": 84,
            "e_value": 5_000.0,
            "note": "better where the harm is",
        },
        {
            "name": "regression",
            "passed": True,
            "estimate": -0.012,
            "low": -0.048,
            "high": 0.021,
            "needed": -0.08,
            "rows": 160,
            "e_value": 900.0,
            "note": "not worse on what it could do",
        },
        {
            "name": "lang=de",
            "passed": True,
            "estimate": 0.0,
            "low": -0.03,
            "high": 0.03,
            "needed": -0.05,
            "rows": 60,
            "e_value": 40.0,
            "note": "not worse for this group",
        },
    ]
    claimed = RetrainReported(
        request_id="r1", alias="support", status=RetrainStatus.CLAIMED, time_ms=asked + 400, by="trainer"
    )
    result = RetrainReported(
        request_id="r1",
        alias="support",
        status=RetrainStatus.PROMOTE,
        time_ms=verdict,
        by="trainer",
        candidate=SECOND,
        digest=DIGESTS[SECOND],
        trained_rows=512,
        checks=checks,
        metrics={"left_out_share": 0.1},
        reason="all checks passed",
    )
    said = "right in 35 % of the 41 labelled answers since the change; it was 96 % in the reference"
    looks = "What support-3f9a1c77b0e2 sees has changed: mostly mean token log-probability"
    return DemoRecord(
        model="gemma-3-270m",
        data="own world, shift: new intents",
        expected="retrain",
        outcomes=outcomes,
        windows=windows,
        alarms=[
            alarm(AlarmKind.QUALITY, alarm_at, onset + 300, f"{FIRST} is {said}"),
            alarm(AlarmKind.DRIFT, onset + 13_000, onset + 500, looks),
        ],
        requests=[
            RetrainRequested(
                id="r1",
                alias="support",
                champion=FIRST,
                time_ms=asked,
                alarm_id="alarm-quality",
                since_ms=onset + 300,
                reason="204 labels since the onset",
            )
        ],
        results=[claimed, result],
        routes=[
            route(1, START + 205_000, FIRST),
            route(2, canary, FIRST, canary=SECOND),
            route(3, promoted, SECOND),
            route(3, promoted + 40, FIRST),
        ],
        ledger=[
            entry(DecisionKind.ALARM, alarm_at, f"{FIRST} is {said}"),
            entry(DecisionKind.ALARM, onset + 13_000, looks),
            entry(DecisionKind.POLICY, asked, "204 labels since the onset: retraining 1 asked for"),
            entry(DecisionKind.VERDICT, verdict, f"{SECOND} is better on fresh rows and not worse elsewhere: promote"),
            entry(DecisionKind.ROLLOUT, canary, f"canary: 20 % of the requests go to {SECOND}"),
            entry(DecisionKind.ROLLOUT, promoted, f"{SECOND} gave 41 answers without harm: promoted"),
        ],
        marks={
            "started": START,
            "ready": ready,
            "onset": onset,
            "promoted": promoted,
            "finished": finished,
        },
        events=EventCounts(published=len(outcomes), consumed=len(outcomes)),
        feedback=FeedbackCounts(sent=700, accepted=700),
        champion_rows=650,
        machine=Machine(cores=2, memory_gb=23.4, peak_memory_gb=13.2, system="Linux 6.8, Python 3.11"),
        links={"MLflow (homeostat mlflow)": "http://127.0.0.1:5000"},
    )
