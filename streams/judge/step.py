"""From a record of the log to the judge's next memory and everything that follows from it. Pure.

`step` calls `monitor.judge.update` and `monitor.policy.decide` and gives names to what they found: all ids are
deterministic, so a record handled twice, because its worker died, has the same effects once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from monitor import judge, policy
from monitor.findings import Alarm, AlarmEnd, Finding, LabelsWanted, NotTested, ReferenceFrozen, Window
from monitor.operator_answer import OperatorAnswer
from monitor.policy import AskRetraining, Decision, PolicyObservation
from monitor.settings import MonitorSettings, PolicySettings
from monitor.watch.version import PROMISED
from streams import codec, events, ledger
from streams.events import (
    AlarmAnswered,
    AlarmKind,
    AlarmRaised,
    DecisionKind,
    DecisionRecorded,
    RetrainReported,
    RetrainRequested,
    RetrainStatus,
    ScoreBatch,
    Severity,
    WindowClosed,
)
from streams.judge.memory import JudgeRecord, answered, covers, of_topic
from streams.lake import profile_windows as spans
from streams.topics import FEEDBACK, TAKEN_IN

Heard = ScoreBatch | AlarmAnswered | RetrainReported

RESULTS: dict[RetrainStatus, policy.Status] = {
    RetrainStatus.PROMOTE: "promote",
    RetrainStatus.REJECT: "reject",
    RetrainStatus.INCONCLUSIVE: "inconclusive",
    RetrainStatus.FAILED: "failed",
}
REPORTED = tuple(kind for kind in AlarmKind if kind.value not in PROMISED)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator decided, and where reports and profiles are to be found."""

    monitor: MonitorSettings
    policy: PolicySettings
    reports: Path
    profiles: Path
    profile_window_ms: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the log a record stands, and when the log took it. `topic_id`: what the offset counts in, where that is
    known. `ends_turn`: as `streams.judge.ordering.Piece` has it."""

    topic: str
    partition: int
    offset: int
    time_ms: int
    topic_id: str = ""
    ends_turn: bool = True

    @property
    def source(self) -> str:
        return f"{self.topic}/{self.partition}"


@dataclass(frozen=True, slots=True)
class Effects:
    """What follows: decisions are confirmed first, then the rest."""

    decisions: list[DecisionRecorded] = field(default_factory=list)
    alarms: list[AlarmRaised] = field(default_factory=list)
    cleared: list[events.AlarmCleared] = field(default_factory=list)
    windows: list[WindowClosed] = field(default_factory=list)
    requests: list[RetrainRequested] = field(default_factory=list)
    notes: list[ReferenceFrozen | LabelsWanted | NotTested] = field(default_factory=list)  # for the log only


def step(
    rules: Rules, memory: JudgeRecord, heard: Heard, place: Place, *, paused: bool = False
) -> tuple[JudgeRecord, Effects]:
    """The memory after this record; one that the memory covers changes nothing."""
    if _covers(memory, heard, place):
        return memory, Effects()
    memory = _covering(memory, heard, place)
    judged = _judge(rules, memory, heard, place)
    after, findings = judged.after, judged.findings
    alarms = [_alarm(rules, memory.alias, each) for each in findings if isinstance(each, Alarm)]
    cleared = [_cleared(memory.alias, each) for each in findings if isinstance(each, AlarmEnd)]
    observation = _observe(after, alarms, cleared, heard, place, paused)
    decided, decisions = policy.decide(rules.policy, memory.policy, observation)
    effects = Effects(
        decisions=[
            *_recorded(rules, memory.judge, judged, [*alarms, *cleared], place),
            *_decided(rules, memory, observation, decisions, place),
        ],
        alarms=alarms,
        cleared=cleared,
        windows=[_window(rules, memory.alias, each) for each in findings if isinstance(each, Window)],
        requests=[_request(memory.alias, d, place) for d in decisions if isinstance(d, AskRetraining)],
        notes=[each for each in findings if isinstance(each, ReferenceFrozen | LabelsWanted | NotTested)],
    )
    return replace(memory, judge=after, policy=decided), effects


def _covers(memory: JudgeRecord, heard: Heard, place: Place) -> bool:
    if isinstance(heard, AlarmAnswered):
        return heard.id in memory.answered
    return covers(memory, place.topic, place.topic_id, place.source, place.offset)


def _covering(memory: JudgeRecord, heard: Heard, place: Place) -> JudgeRecord:
    """The memory as it covers this record too."""
    if isinstance(heard, AlarmAnswered):
        return answered(memory, heard.id, place.source, place.offset)
    memory = of_topic(memory, place.topic, place.topic_id, HEADS.get(place.topic, ""))
    return replace(memory, offsets=memory.offsets | {place.source: place.offset + 1})


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the judge made of a record; `said` is what it was given, None: nothing."""

    after: judge.AliasState
    findings: list[Finding]
    said: judge.Batch | OperatorAnswer | None


def _judge(rules: Rules, memory: JudgeRecord, heard: Heard, place: Place) -> _Judged:
    if isinstance(heard, ScoreBatch):
        batch = _batch(heard, place)
        return _Judged(*judge.update(rules.monitor, memory.judge, batch), batch)
    if isinstance(heard, AlarmAnswered):
        return _Judged(*judge.answer(rules.monitor, memory.judge, heard.answer), heard.answer)
    return _Judged(memory.judge, [], None)


def _source(topic: str) -> Literal["feedback", "inference"]:
    return "feedback" if topic == FEEDBACK.name else "inference"


HEADS = {topic.name: _source(topic.name) for topic in TAKEN_IN}  # what the judge calls their partitions


def _batch(scores: ScoreBatch, place: Place) -> judge.Batch:
    return judge.Batch(
        source=_source(scores.source_topic),
        partition=scores.partition,
        first_offset=scores.first_offset,
        last_offset=scores.last_offset,
        descriptor_names=scores.descriptor_names,
        rows=scores.rows,
        time_ms=place.time_ms,
        ends_turn=place.ends_turn,
    )


def _observe(
    state: judge.AliasState,
    alarms: Sequence[AlarmRaised],
    cleared: Sequence[events.AlarmCleared],
    heard: Heard,
    place: Place,
    paused: bool,
) -> PolicyObservation:
    result = None
    if isinstance(heard, RetrainReported) and heard.status in RESULTS:
        result = policy.Result(request_id=heard.request_id, status=RESULTS[heard.status])
    raised = [
        policy.NewAlarm(
            alarm_id=each.id,
            kind=each.kind.value,
            version=each.version,
            onset_ms=each.onset_ms,
            label_first=each.evidence.get("label_first", []),
        )
        for each in alarms
    ]
    return PolicyObservation(
        champion=state.champion,
        time_ms=place.time_ms,
        alarms=raised,
        cleared=[each.alarm_id for each in cleared],
        fresh_labels=judge.fresh_labels(state, state.champion),
        result=result,
        paused=paused,
    )


def _recorded(
    rules: Rules,
    before: judge.AliasState,
    judged: _Judged,
    told: Sequence[AlarmRaised | events.AlarmCleared],
    place: Place,
) -> list[DecisionRecorded]:
    """What an operator said is recorded whatever it led to."""
    summary = "; ".join(each.summary for each in told)
    by_operator = isinstance(judged.said, OperatorAnswer)
    if not told and not by_operator:
        return []
    said = {"said": judged.said} if by_operator else {"batch": judged.said}
    return [
        ledger.entry(
            DecisionKind.OPERATOR if by_operator else DecisionKind.ALARM,
            "judge.answer" if by_operator else "judge.update",
            judge.EDITION,
            alias=before.alias,
            place=f"{place.source}/{place.offset}",
            time_ms=place.time_ms,
            inputs={"settings": rules.monitor, "state": before, **said},
            output=judged.findings,
            cause=told[0].id if told else "",
            summary=_by(judged.said, summary) if isinstance(judged.said, OperatorAnswer) else summary,
        )
    ]


def _by(said: OperatorAnswer, summary: str) -> str:
    told = summary or f"{said.version}: no alarm was open"
    return f"{said.by}: {said.verb}: {told}" + (f" ({said.reason})" if said.reason else "")


def _decided(
    rules: Rules, memory: JudgeRecord, observation: PolicyObservation, decisions: Sequence[Decision], place: Place
) -> list[DecisionRecorded]:
    if not decisions:
        return []
    return [
        ledger.entry(
            DecisionKind.POLICY,
            "policy.decide",
            policy.EDITION,
            alias=memory.alias,
            place=f"{place.source}/{place.offset}",
            time_ms=place.time_ms,
            inputs={"settings": rules.policy, "state": memory.policy, "observation": observation},
            output=decisions,
            cause=decisions[0].alarm_id,
            summary="; ".join(each.reason for each in decisions),
        )
    ]


def _alarm(rules: Rules, alias: str, found: Alarm) -> AlarmRaised:
    id = codec.alarm_id(alias, found.key)
    kind = AlarmKind(found.kind)
    return AlarmRaised(
        id=id,
        alias=alias,
        version=found.version,
        kind=kind,
        severity=Severity(found.severity),
        time_ms=found.time_ms,
        first_event=found.first_event,
        last_event=found.last_event,
        onset_ms=found.onset_ms,
        evidence=found.evidence,
        summary=found.summary,
        report=str(rules.reports / f"{id}.html") if kind in REPORTED else None,
    )


def _cleared(alias: str, found: AlarmEnd) -> events.AlarmCleared:
    alarm_id = codec.alarm_id(alias, found.alarm)
    return events.AlarmCleared(
        id=codec.deterministic_id("alarm over", alarm_id),
        alias=alias,
        version=found.version,
        kind=AlarmKind(found.kind),
        alarm_id=alarm_id,
        about=found.about,
        time_ms=found.time_ms,
        raised_ms=found.raised_ms,
        onset_ms=found.onset_ms,
        cause=found.cause,
        by=found.by,
        summary=found.summary,
    )


def _window(rules: Rules, alias: str, found: Window) -> WindowClosed:
    span = spans.Span(alias, found.version, spans.start(found.start_ms, rules.profile_window_ms))
    return WindowClosed(
        id=codec.deterministic_id("window", alias, found.version, found.start_ms, found.end_ms),
        alias=alias,
        version=found.version,
        start_ms=found.start_ms,
        end_ms=found.end_ms,
        requests=found.requests,
        errors=found.errors,
        labelled=found.labelled,
        correct=found.correct,
        estimated_accuracy=found.estimated_accuracy,
        estimated_low=found.estimated_low,
        estimated_high=found.estimated_high,
        latency_p50_ms=found.latency_p50_ms,
        latency_p95_ms=found.latency_p95_ms,
        evidence=found.evidence,
        gaps=found.gaps,
        profile=str(spans.folder(rules.profiles, span)),
    )


def _request(alias: str, asked: AskRetraining, place: Place) -> RetrainRequested:
    return RetrainRequested(
        id=asked.request_id,
        alias=alias,
        champion=asked.version,
        time_ms=place.time_ms,
        alarm_id=asked.alarm_id,
        since_ms=asked.since_ms,
        reason=asked.reason,
    )
