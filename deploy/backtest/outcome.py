"""What a policy did, or would have done. All times are milliseconds since the epoch."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from deploy.operator.replay import LedgerError
from monitor.findings import Alarm, AlarmEnd, Finding
from monitor.operator_answer import OperatorAnswer
from monitor.policy import AskLabels, AskRetraining, Decision
from streams.events import DecisionRecorded


class Raised(msgspec.Struct, frozen=True, kw_only=True):
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


class Cleared(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that was over. `cleared_ms`: when the judge could know."""

    kind: str
    version: str
    cleared_ms: int
    cause: str
    summary: str


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A retraining asked for."""

    request_id: str
    version: str
    time_ms: int
    since_ms: int  # when the harm is thought to have begun
    attempt: int
    fresh_labels: int
    reason: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Labels asked for."""

    version: str
    time_ms: int
    wanted: int
    reason: str


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a retraining ended, as recorded."""

    request_id: str
    time_ms: int
    status: str


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator said of alarms, as recorded."""

    id: str
    time_ms: int
    answer: OperatorAnswer


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one policy did, in the order in which it did it."""

    alarms: list[Raised] = []
    cleared: list[Cleared] = []
    retrainings: list[Asked] = []
    labels_wanted: list[Wanted] = []


def told(outcome: Outcome, entry: DecisionRecorded) -> Outcome:
    """The outcome with what one decision of the ledger adds. Raises LedgerError where another release wrote it."""
    if entry.function in ("judge.update", "judge.answer"):
        findings = read(entry, entry.output, list[Finding])
        alarms = [_raised(each, entry.time_ms) for each in findings if isinstance(each, Alarm)]
        cleared = [_cleared(each, entry.time_ms) for each in findings if isinstance(each, AlarmEnd)]
        return replace(outcome, alarms=[*outcome.alarms, *alarms], cleared=[*outcome.cleared, *cleared])
    if entry.function == "policy.decide":
        decisions = read(entry, entry.output, list[Decision])
        asked = [_asked(each, entry.time_ms) for each in decisions if isinstance(each, AskRetraining)]
        wanted = [_wanted(each, entry.time_ms) for each in decisions if isinstance(each, AskLabels)]
        return replace(
            outcome,
            retrainings=[*outcome.retrainings, *asked],
            labels_wanted=[*outcome.labels_wanted, *wanted],
        )
    return outcome


def read(entry: DecisionRecorded, value: Any, kind: Any) -> Any:
    """A part of a decision as what it was; LedgerError names the decision."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value), type=kind)
    except msgspec.ValidationError as error:
        raise LedgerError(f"decision {entry.id} ({entry.function}): {error}: written by another release?") from error


def _raised(alarm: Alarm, raised_ms: int) -> Raised:
    return Raised(
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


def _cleared(over: AlarmEnd, cleared_ms: int) -> Cleared:
    return Cleared(kind=over.kind, version=over.version, cleared_ms=cleared_ms, cause=over.cause, summary=over.summary)


def _asked(each: AskRetraining, time_ms: int) -> Asked:
    return Asked(
        request_id=each.request_id,
        version=each.version,
        time_ms=time_ms,
        since_ms=each.since_ms,
        attempt=each.attempt,
        fresh_labels=each.fresh_labels,
        reason=each.reason,
    )


def _wanted(each: AskLabels, time_ms: int) -> Wanted:
    return Wanted(version=each.version, time_ms=time_ms, wanted=each.wanted, reason=each.reason)
