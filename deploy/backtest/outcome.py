"""The outcome of a policy: what it did, or would have done. All times are milliseconds since the epoch."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from deploy.operator.replay import LedgerError
from monitor.findings import Alarm, AlarmEnd, Finding
from monitor.operator_answer import OperatorAnswer
from monitor.policy import AskLabels, AskRetraining, Decision
from streams.events import DecisionRecorded


class RaisedAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm. `raised_ms`: when the judge could know; `time_ms`: of the last event in its evidence."""

    kind: str
    severity: str
    version: str
    raised_ms: int
    time_ms: int
    onset_ms: int
    last_event: str
    summary: str
    label_first: list[str] = []

    @property
    def key(self) -> tuple[str, str, str, int]:
        """The same alarm has the same key."""
        return self.version, self.kind, self.last_event, self.onset_ms


class ClearedAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that was over. `cleared_ms`: when the judge could know."""

    kind: str
    version: str
    cleared_ms: int
    cause: str
    summary: str


class RequestedRetraining(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a retraining."""

    request_id: str
    version: str
    time_ms: int
    since_ms: int  # when the harm is thought to have begun
    attempt: int
    fresh_labels: int
    reason: str


class RequestedLabels(msgspec.Struct, frozen=True, kw_only=True):
    """A request for labels."""

    version: str
    time_ms: int
    wanted: int
    reason: str


class EndedRetraining(msgspec.Struct, frozen=True, kw_only=True):
    """The recorded end of a retraining."""

    request_id: str
    time_ms: int
    status: str


class RecordedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The recorded answer of an operator to alarms."""

    id: str
    time_ms: int
    answer: OperatorAnswer


class PolicyOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one policy did, in the order in which it did it."""

    alarms: list[RaisedAlarm] = []
    cleared: list[ClearedAlarm] = []
    retrainings: list[RequestedRetraining] = []
    labels_wanted: list[RequestedLabels] = []


def with_decision(outcome: PolicyOutcome, entry: DecisionRecorded) -> PolicyOutcome:
    """Return the outcome with one more decision of the ledger. Raise LedgerError where another release wrote it."""
    if entry.function in ("judge.update", "judge.answer"):
        findings = read(entry, entry.output, list[Finding])
        alarms = [_raised(each, entry.time_ms) for each in findings if isinstance(each, Alarm)]
        cleared = [
            ClearedAlarm(
                kind=each.kind,
                version=each.version,
                cleared_ms=entry.time_ms,
                cause=each.cause,
                summary=each.summary,
            )
            for each in findings
            if isinstance(each, AlarmEnd)
        ]
        return replace(outcome, alarms=[*outcome.alarms, *alarms], cleared=[*outcome.cleared, *cleared])
    if entry.function == "policy.decide":
        decisions = read(entry, entry.output, list[Decision])
        asked = [_asked(each, entry.time_ms) for each in decisions if isinstance(each, AskRetraining)]
        wanted = [
            RequestedLabels(version=each.version, time_ms=entry.time_ms, wanted=each.wanted, reason=each.reason)
            for each in decisions
            if isinstance(each, AskLabels)
        ]
        return replace(
            outcome,
            retrainings=[*outcome.retrainings, *asked],
            labels_wanted=[*outcome.labels_wanted, *wanted],
        )
    return outcome


def read(entry: DecisionRecorded, value: Any, kind: Any) -> Any:
    """Return a part of a decision in its type. Raise LedgerError naming the decision."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value), type=kind)
    except msgspec.ValidationError as error:
        raise LedgerError(f"decision {entry.id} ({entry.function}): {error}: written by another release?") from error


def _raised(alarm: Alarm, raised_ms: int) -> RaisedAlarm:
    return RaisedAlarm(
        kind=alarm.kind,
        severity=alarm.severity,
        version=alarm.version,
        raised_ms=raised_ms,
        time_ms=alarm.time_ms,
        onset_ms=alarm.onset_ms,
        last_event=alarm.last_event,
        summary=alarm.summary,
        label_first=alarm.evidence.get("label_first", []),
    )


def _asked(each: AskRetraining, time_ms: int) -> RequestedRetraining:
    return RequestedRetraining(
        request_id=each.request_id,
        version=each.version,
        time_ms=time_ms,
        since_ms=each.since_ms,
        attempt=each.attempt,
        fresh_labels=each.fresh_labels,
        reason=each.reason,
    )
