"""From a record of the log to the judge's next memory and everything that follows from it. Pure.

`step` calls `monitor.judge.update` and `monitor.policy.decide` and gives names to what they found: all ids are
deterministic, so a record handled twice, because its worker died, has the same effects once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec.structs import asdict, replace

from monitor import judge, policy
from monitor.findings import Alarm, AlarmEnd, Finding, LabelsWanted, NotTested, ReferenceFrozen, Window
from monitor.operator_answer import OperatorAnswer
from monitor.policy import AskRetraining, Decision, PolicyObservation
from monitor.settings import MonitorSettings, PolicySettings
from monitor.watch.version import PROMISED
from streams import codec, events, ledger
from streams.events import (
    AlarmAnswered,
    AlarmRaised,
    DecisionRecorded,
    Event,
    RetrainReported,
    RetrainRequested,
    ScoreBatch,
    WindowClosed,
)
from streams.judge.memory import JudgeRecord, answered, covers, of_topic
from streams.kinds import AlarmKind, DecisionKind, RetrainStatus, Severity
from streams.lake.profile_windows import ProfileWindow, window_start
from streams.reports.keys import MODE, PAGE
from streams.topics import FEEDBACK, TAKEN_IN

JudgeInput = ScoreBatch | AlarmAnswered | RetrainReported

RESULTS: dict[RetrainStatus, policy.Status] = {
    RetrainStatus.PROMOTE: "promote",
    RetrainStatus.REJECT: "reject",
    RetrainStatus.INCONCLUSIVE: "inconclusive",
    RetrainStatus.FAILED: "failed",
}
REPORTED = tuple(kind for kind in AlarmKind if kind.value not in PROMISED)


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's settings, and the addresses of reports and profiles."""

    monitor: MonitorSettings
    policy: PolicySettings
    reports: str
    profiles: str
    profile_window_ms: int


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Where in the log a record stands, and when the log took it. `topic_id`: what the offset counts in, where that is
    known. `ends_tick`: as `streams.judge.ordering.Piece` has it."""

    topic: str
    partition: int
    offset: int
    time_ms: int
    topic_id: str = ""
    ends_tick: bool = True

    @property
    def source(self) -> str:
        """Return the topic and partition, as the memory's offsets name them."""
        return f"{self.topic}/{self.partition}"


@dataclass(frozen=True, slots=True)
class Effects:
    """All that follows from one record: decisions are confirmed first, then the rest."""

    decisions: list[DecisionRecorded] = field(default_factory=list)
    alarms: list[AlarmRaised] = field(default_factory=list)
    cleared: list[events.AlarmCleared] = field(default_factory=list)
    windows: list[WindowClosed] = field(default_factory=list)
    requests: list[RetrainRequested] = field(default_factory=list)
    notes: list[ReferenceFrozen | LabelsWanted | NotTested] = field(default_factory=list)  # for the log only


def step(
    rules: Rules, memory: JudgeRecord, event: JudgeInput, position: LogPosition, *, paused: bool = False
) -> tuple[JudgeRecord, Effects]:
    """Return the memory after this record, and its effects; a record that the memory covers changes nothing."""
    if _covers(memory, event, position):
        return memory, Effects()
    memory = _covering(memory, event, position)
    judged = _judge(rules, memory, event, position)
    after, findings = judged.after, judged.findings
    alarms = [_alarm(rules, memory.alias, each) for each in findings if isinstance(each, Alarm)]
    cleared = [_cleared(memory.alias, each) for each in findings if isinstance(each, AlarmEnd)]
    observation = _observe(after, alarms, cleared, event, position, paused)
    decided, decisions = policy.decide(rules.policy, memory.policy, observation)
    effects = Effects(
        decisions=[
            *_recorded(rules, memory.judge, judged, [*alarms, *cleared], position),
            *_decided(rules, memory, observation, decisions, position),
        ],
        alarms=alarms,
        cleared=cleared,
        windows=[_window(rules, memory.alias, each) for each in findings if isinstance(each, Window)],
        requests=[_request(memory.alias, d, position) for d in decisions if isinstance(d, AskRetraining)],
        notes=[each for each in findings if isinstance(each, ReferenceFrozen | LabelsWanted | NotTested)],
    )
    return replace(memory, judge=after, policy=decided), effects


def _covers(memory: JudgeRecord, event: JudgeInput, position: LogPosition) -> bool:
    if isinstance(event, AlarmAnswered):
        return event.id in memory.answered
    return covers(memory, position.topic, position.topic_id, position.source, position.offset)


def _covering(memory: JudgeRecord, event: JudgeInput, position: LogPosition) -> JudgeRecord:
    """The memory as it covers this record too."""
    if isinstance(event, AlarmAnswered):
        return answered(memory, event.id, position.source, position.offset)
    memory = of_topic(memory, position.topic, position.topic_id, HEADS.get(position.topic, ""))
    return replace(memory, offsets=memory.offsets | {position.source: position.offset + 1})


@dataclass(frozen=True, slots=True)
class _Judged:
    """The judge's findings about a record; `given` is its input, None where there was none."""

    after: judge.AliasState
    findings: list[Finding]
    given: judge.Batch | OperatorAnswer | None


def _judge(rules: Rules, memory: JudgeRecord, event: JudgeInput, position: LogPosition) -> _Judged:
    if isinstance(event, ScoreBatch):
        batch = _batch(event, position)
        return _Judged(*judge.update(rules.monitor, memory.judge, batch), batch)
    if isinstance(event, AlarmAnswered):
        return _Judged(*judge.answer(rules.monitor, memory.judge, event.answer), event.answer)
    return _Judged(memory.judge, [], None)


def _source(topic: str) -> Literal["feedback", "inference"]:
    return "feedback" if topic == FEEDBACK.name else "inference"


HEADS = {topic.name: _source(topic.name) for topic in TAKEN_IN}  # what the judge calls their partitions


def _batch(scores: ScoreBatch, position: LogPosition) -> judge.Batch:
    return judge.Batch(
        source=_source(scores.source_topic),
        partition=scores.partition,
        first_offset=scores.first_offset,
        last_offset=scores.last_offset,
        descriptor_names=scores.descriptor_names,
        rows=scores.rows,
        time_ms=position.time_ms,
        ends_turn=position.ends_tick,
    )


def _observe(
    state: judge.AliasState,
    alarms: Sequence[AlarmRaised],
    cleared: Sequence[events.AlarmCleared],
    event: JudgeInput,
    position: LogPosition,
    paused: bool,
) -> PolicyObservation:
    result = None
    if isinstance(event, RetrainReported) and event.status in RESULTS:
        result = policy.Result(request_id=event.request_id, status=RESULTS[event.status])
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
        time_ms=position.time_ms,
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
    found: Sequence[AlarmRaised | events.AlarmCleared],
    position: LogPosition,
) -> list[DecisionRecorded]:
    """An operator's answer is recorded whatever it led to."""
    summary = "; ".join(each.summary for each in found)
    answer = judged.given if isinstance(judged.given, OperatorAnswer) else None
    if not found and answer is None:
        return []
    return [
        ledger.entry(
            DecisionKind.ALARM if answer is None else DecisionKind.OPERATOR,
            "judge.update" if answer is None else "judge.answer",
            judge.EDITION,
            alias=before.alias,
            place=f"{position.source}/{position.offset}",
            time_ms=position.time_ms,
            inputs={
                "settings": rules.monitor,
                "state": before,
                "batch" if answer is None else "said": judged.given,
            },
            output=judged.findings,
            cause=found[0].id if found else "",
            summary=summary if answer is None else _by(answer, summary),
        )
    ]


def _by(answer: OperatorAnswer, summary: str) -> str:
    effect = summary or f"{answer.version}: no alarm was open"
    return f"{answer.by}: {answer.verb}: {effect}" + (f" ({answer.reason})" if answer.reason else "")


def _decided(
    rules: Rules,
    memory: JudgeRecord,
    observation: PolicyObservation,
    decisions: Sequence[Decision],
    position: LogPosition,
) -> list[DecisionRecorded]:
    if not decisions:
        return []
    return [
        ledger.entry(
            DecisionKind.POLICY,
            "policy.decide",
            policy.EDITION,
            alias=memory.alias,
            place=f"{position.source}/{position.offset}",
            time_ms=position.time_ms,
            inputs={"settings": rules.policy, "state": memory.policy, "observation": observation},
            output=decisions,
            cause=decisions[0].alarm_id,
            summary="; ".join(each.reason for each in decisions),
        )
    ]


def _alarm(rules: Rules, alias: str, found: Alarm) -> AlarmRaised:
    id, kind = codec.alarm_id(alias, found.key), AlarmKind(found.kind)
    named: dict[str, Any] = {"id": id, "alias": alias, "kind": kind, "severity": Severity(found.severity)}
    report = f"{rules.reports}/{id}{PAGE}" if kind in REPORTED else None
    if rules.policy.observes:
        named["evidence"] = {**found.evidence, MODE: rules.policy.mode}
    return AlarmRaised(**_fields(AlarmRaised, found) | named, report=report)


def _cleared(alias: str, found: AlarmEnd) -> events.AlarmCleared:
    alarm_id = codec.alarm_id(alias, found.alarm)
    id = codec.deterministic_id("alarm over", alarm_id)
    named = {"id": id, "alias": alias, "kind": AlarmKind(found.kind), "alarm_id": alarm_id}
    return events.AlarmCleared(**_fields(events.AlarmCleared, found) | named)


def _window(rules: Rules, alias: str, found: Window) -> WindowClosed:
    id = codec.deterministic_id("window", alias, found.version, found.start_ms, found.end_ms)
    window = ProfileWindow(alias, found.version, window_start(found.start_ms, rules.profile_window_ms))
    profile = f"{rules.profiles}/{window.place}"
    return WindowClosed(**_fields(WindowClosed, found), id=id, alias=alias, profile=profile)


def _fields(kind: type[Event], found: Finding) -> dict[str, Any]:
    """The fields of a finding that the event has too."""
    return {name: value for name, value in asdict(found).items() if name in kind.__struct_fields__}


def _request(alias: str, asked: AskRetraining, position: LogPosition) -> RetrainRequested:
    return RetrainRequested(
        id=asked.request_id,
        alias=alias,
        champion=asked.version,
        time_ms=position.time_ms,
        alarm_id=asked.alarm_id,
        since_ms=asked.since_ms,
        reason=asked.reason,
    )
