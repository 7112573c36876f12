"""Alarms for an operator: list the open ones, read one, clear it, or accept the present as normal.

The judge's own memory holds the open alarms. The operator's answer goes through the log: the worker that judges the
alias takes it in its turn, and writes it into the ledger with all that follows."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing

import msgspec

from deploy.show.times import clock
from monitor.findings import Kind
from monitor.operator_answer import OperatorAnswer, Verb
from streams import codec
from streams.clock import now_ms
from streams.events import AlarmAnswered, AlarmRaised
from streams.identity import uuid7
from streams.judge.memory import JudgeRecord
from streams.log.append import Appender
from streams.log.read import partition_counts, read, span
from streams.log.settings import KafkaSettings
from streams.topics import ALARMS, SCORES, STATE

WAIT_S = 15.0  # for a worker to take an answer: its turn comes within three seconds
LOOK_AGAIN_S = 0.5
LEAST_PREFIX = 4


class OpenAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that was raised and is not over."""

    id: str
    alias: str
    version: str
    kind: Kind
    about: str
    onset_ms: int
    raised_ms: int


def memories(kafka: KafkaSettings) -> dict[str, JudgeRecord]:
    """Return the judge's memory of each alias as the log has it, without references."""
    found: dict[str, JudgeRecord] = {}
    for partition in range(partition_counts(kafka, [STATE])[STATE.name]):
        for raw in span(kafka, STATE, partition):
            alias, _, digest = (raw.key or b"").decode().partition("@")
            if not digest and raw.value is not None:
                record = codec.decode(JudgeRecord, raw.value)
                found[alias] = max(found.get(alias, record), record, key=lambda each: each.age)
    return found


def still_open(kafka: KafkaSettings, alias: str | None = None) -> list[OpenAlarm]:
    """List the open alarms of the alias, or of all aliases, the oldest first."""
    found = [each for name, memory in memories(kafka).items() if alias in (None, name) for each in open_alarms(memory)]
    return sorted(found, key=lambda each: (each.raised_ms, each.id))


def open_alarms(memory: JudgeRecord) -> list[OpenAlarm]:
    """List the open alarms of one alias."""
    return [
        OpenAlarm(
            id=codec.alarm_id(memory.alias, raised.key),
            alias=memory.alias,
            version=version,
            kind=raised.kind,
            about=raised.about,
            onset_ms=raised.onset_ms,
            raised_ms=raised.time_ms,
        )
        for version, watch in memory.judge.watches.items()
        for raised in watch.raised.values()
    ]


def chosen(kafka: KafkaSettings, ids: Iterable[str]) -> list[OpenAlarm]:
    """Return the alarms whose ids are these, or begin so. Raise LookupError where none is open, ValueError where
    several are."""
    known = still_open(kafka)
    return [_single(known, id) for id in ids]


def describe(kafka: KafkaSettings, alarm: OpenAlarm) -> str:
    """Return all of the alarm as text. One that the log no longer holds is described from the judge's memory."""
    raised = [each.event for each in read(kafka, ALARMS, AlarmRaised) if each.event.id == alarm.id]
    head = (
        f"alarm    {alarm.id}\nalias    {alarm.alias}\nversion  {alarm.version}\nkind     {kind(alarm)}\n"
        f"since    {clock(alarm.onset_ms)}\nraised   {clock(alarm.raised_ms)}\n"
    )
    if not raised:
        return f"{head}\nIts evidence is no longer in the log; `homeostat ledger` has it."
    evidence = msgspec.json.format(msgspec.json.encode(raised[0].evidence)).decode()
    return f"{head}severity {raised[0].severity.value}\nreport   {raised[0].report or 'none'}\n\n" + (
        f"{raised[0].summary}\n\n{evidence}"
    )


def line(alarm: OpenAlarm) -> str:
    """Return the alarm as one line of a list."""
    return (
        f"{alarm.id}  {alarm.alias}  {alarm.version}  {kind(alarm)}  since {clock(alarm.onset_ms)}, "
        f"raised {clock(alarm.raised_ms)}"
    )


def kind(alarm: OpenAlarm) -> str:
    """Return the alarm's kind, with the flag or the group that it is about."""
    return f"{alarm.kind} ({alarm.about})" if alarm.about else alarm.kind


def clear(kafka: KafkaSettings, alarm: OpenAlarm, by: str, reason: str = "", wait_s: float = WAIT_S) -> bool:
    """Send that the alarm is over: its detector starts from nothing. Return whether a worker took it within
    `wait_s`."""
    answer = _answer("clear", alarm.version, by, reason)
    return _send(kafka, alarm.alias, msgspec.structs.replace(answer, kind=alarm.kind, about=alarm.about), wait_s)


def accept(
    kafka: KafkaSettings, alias: str, version: str | None, by: str, reason: str = "", wait_s: float = WAIT_S
) -> tuple[str, bool]:
    """Send that the present is normal: a new reference begins for the version, None: for the champion. Return the
    version, and whether a worker took it within `wait_s`. Raise LookupError for a version that is not under watch."""
    memory = memories(kafka).get(alias)
    if memory is None:
        raise LookupError(f"alias is {alias!r}, expected one that a worker has judged; `homeostat status` names all")
    named = version or memory.judge.champion
    if named not in memory.judge.watches:
        known = ", ".join(sorted(memory.judge.watches)) or "none"
        raise LookupError(f"version is {named!r}, expected one that is under watch: {known}")
    return named, _send(kafka, alias, _answer("accept", named, by, reason), wait_s)


def _answer(verb: Verb, version: str, by: str, reason: str) -> OperatorAnswer:
    return OperatorAnswer(version=version, verb=verb, by=by, time_ms=now_ms(), reason=reason)


def _send(kafka: KafkaSettings, alias: str, answer: OperatorAnswer, wait_s: float) -> bool:
    event = AlarmAnswered(id=uuid7(answer.time_ms), alias=alias, time_ms=answer.time_ms, answer=answer)
    with closing(Appender(kafka, f"homeostat/{answer.by}")) as appender:
        appender.append(SCORES, event, id=event.id, time_ms=event.time_ms)
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        memory = memories(kafka).get(alias)
        if memory is not None and event.id in memory.answered:
            return True
        time.sleep(LOOK_AGAIN_S)
    return False


def _single(known: list[OpenAlarm], id: str) -> OpenAlarm:
    found = [each for each in known if each.id == id or (len(id) >= LEAST_PREFIX and each.id.startswith(id))]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"alarm is {id!r}, expected more of its id: {len(found)} open ones begin so")
    raise LookupError(f"alarm is {id!r}, expected one that is open; `homeostat alarms list` names all")
