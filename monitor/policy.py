"""From findings to decisions: when is it worth training again? Pure, so that `replay` can ask it again.

Only harm that labels prove leads to a retraining, or a judge model's alarm where `policy.judge_may_promote` lets it.
Drift and estimated harm are annotated and ask for labels.

A case ends with its alarm: what is over needs no better version, and labels are counted since the onset of an alarm
that is open. A retraining that is under way goes on, for its candidate has to prove itself in any case; if it does not,
the case ends with it. Where the harm comes back meanwhile, the case is that of the new alarm.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from monitor.findings import ASKS_LABELS, Kind, clock
from monitor.settings import PolicySettings

EDITION = 1  # of `decide`: raise it with whatever makes it decide otherwise on the same inputs
DAY_MS = 86_400_000
JUDGED: Kind = "judged_quality"

Status = Literal["promote", "reject", "inconclusive", "failed"]

_NAMESPACE = uuid.UUID("0d3e2b1a-93c4-5a55-8f0e-6a1b7c2d9e40")


class NewAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that was just raised."""

    alarm_id: str
    kind: Kind
    version: str
    onset_ms: int
    label_first: list[str] = []  # events that it asks labels for


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a retraining ended; `claimed` and `training` are no results."""

    request_id: str
    status: Status


class PolicyObservation(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy may know. `fresh_labels`: since the onset of the champion's open quality alarm."""

    champion: str
    time_ms: int
    alarms: list[NewAlarm] = []
    cleared: list[str] = []  # ids of alarms that are over
    fresh_labels: int = 0
    result: Result | None = None
    paused: bool = False  # an operator's switch: keeps the books, asks for nothing


class HarmCase(msgspec.Struct, frozen=True, kw_only=True):
    """A harm that is being dealt with."""

    alarm_id: str
    version: str
    onset_ms: int
    labels_wanted: int
    attempt: int = 0  # retrainings asked for so far
    request_id: str = ""  # of the one that is running
    asked_ms: int = 0
    labels_asked: int = 0  # labels when it was asked for
    promoting: bool = False  # a candidate won; the rollout has it now
    cleared: bool = False  # its alarm is over; it waits for the retraining under way
    kind: Kind = "quality"  # of its alarm
    held: bool = False  # a retraining would have been asked for, and only people act


class PolicyState(msgspec.Struct, frozen=True, kw_only=True):
    """At most one case at a time."""

    case: HarmCase | None = None
    asked_ms: list[int] = []  # retrainings of the last day
    rest_until_ms: int = 0  # cool-down


class AskRetraining(msgspec.Struct, frozen=True, kw_only=True, tag="ask_retraining"):
    """Please make a better version. `request_id` is deterministic: asking twice is asking once."""

    request_id: str
    alarm_id: str
    version: str
    since_ms: int
    attempt: int
    fresh_labels: int
    reason: str


class AskLabels(msgspec.Struct, frozen=True, kw_only=True, tag="ask_labels"):
    """Labels would settle it."""

    alarm_id: str
    version: str
    wanted: int
    reason: str
    first: list[str] = []  # the most informative events, by id


class Annotate(msgspec.Struct, frozen=True, kw_only=True, tag="annotate"):
    """Worth a mark on the timeline, nothing more."""

    alarm_id: str
    version: str
    reason: str


Decision = AskRetraining | AskLabels | Annotate


def decide(
    settings: PolicySettings, state: PolicyState, observation: PolicyObservation
) -> tuple[PolicyState, list[Decision]]:
    """Return the next state and what to do; the same arguments always give the same answer."""
    state, superseded = _leave(settings, state, observation)
    state, resulted = _settle(settings, state, observation)
    state, over = _clear(state, observation)
    state, raised = _open(settings, state, observation)
    state, over_at_once = _clear(state, observation)
    state, asked = _ask(settings, state, observation)
    return state, [*superseded, *resulted, *over, *raised, *over_at_once, *asked]


def request_id(alarm_id: str, attempt: int) -> str:
    """Return the id of the `attempt`-th retraining for an alarm."""
    return str(uuid.uuid5(_NAMESPACE, f"{alarm_id}/{attempt}"))


def _leave(
    settings: PolicySettings, state: PolicyState, observation: PolicyObservation
) -> tuple[PolicyState, Sequence[Decision]]:
    """A case ends when its version no longer serves."""
    case = state.case
    if case is None or not observation.champion or observation.champion == case.version:
        return state, []
    rest = max(state.rest_until_ms, observation.time_ms + settings.cool_down_s * 1_000)
    return replace(state, case=None, rest_until_ms=rest), [_note(case, f"{observation.champion} serves now: closed")]


def _settle(
    settings: PolicySettings, state: PolicyState, observation: PolicyObservation
) -> tuple[PolicyState, Sequence[Decision]]:
    """Return what the running retraining came to; a result of another request is ignored."""
    case, result = state.case, observation.result
    if case is None or not case.request_id:
        return state, []
    silent = observation.time_ms - case.asked_ms >= settings.retraining_timeout_s * 1_000
    status = result.status if result and result.request_id == case.request_id else None
    if status == "promote":
        note = [] if case.promoting else [_note(case, "a candidate won; being rolled out")]
        return replace(state, case=replace(case, promoting=True)), note
    if status is None and not silent:
        return state, []
    return _again(settings, state, case, status or "failed", observation.time_ms)


def _again(
    settings: PolicySettings, state: PolicyState, case: HarmCase, status: Status, time_ms: int
) -> tuple[PolicyState, Sequence[Decision]]:
    """Back to collecting: an inconclusive or lost comparison needs more labels, all but the inconclusive a rest."""
    if case.cleared:
        rest = max(state.rest_until_ms, time_ms + settings.cool_down_s * 1_000)
        note = _note(case, f"retraining {case.attempt} ended {status}, and the alarm is over: closed")
        return replace(state, case=None, rest_until_ms=rest), [note]
    more = math.ceil(case.labels_asked * settings.label_growth)
    wanted = case.labels_wanted if status == "failed" else max(more, case.labels_wanted)
    rest = state.rest_until_ms if status == "inconclusive" else time_ms + settings.cool_down_s * 1_000
    case = replace(case, request_id="", promoting=False, labels_wanted=wanted)
    reason = f"retraining {case.attempt} ended {status}: the next needs {wanted} labels since the onset"
    asked = AskLabels(alarm_id=case.alarm_id, version=case.version, wanted=wanted, reason=reason)
    return replace(state, case=case, rest_until_ms=max(rest, state.rest_until_ms)), [asked]


def _clear(state: PolicyState, observation: PolicyObservation) -> tuple[PolicyState, Sequence[Decision]]:
    """A case ends with its alarm, unless a retraining is under way."""
    case = state.case
    if case is None or case.cleared or case.alarm_id not in observation.cleared:
        return state, []
    if case.request_id:
        reason = f"the alarm is over: retraining {case.attempt}, under way, is the last"
        return replace(state, case=replace(case, cleared=True)), [_note(case, reason)]
    return replace(state, case=None), [_note(case, "the alarm is over: closed")]


def _open(
    settings: PolicySettings, state: PolicyState, observation: PolicyObservation
) -> tuple[PolicyState, Sequence[Decision]]:
    """Proven harm of the champion opens a case, or takes over one that a judge model alone has opened: that one would
    end with the judge's alarm. Anything else is annotated."""
    decisions: list[Decision] = []
    for alarm in observation.alarms:
        proves = alarm.kind == "quality" or (settings.judge_may_promote and alarm.kind == JUDGED)
        harm = proves and alarm.version == observation.champion
        if harm and _vacant(state.case, alarm):
            case = _case(settings, state.case, alarm)
            state = replace(state, case=case)
            decisions += _short(case, observation.fresh_labels)
        else:
            decisions += _mentioned(settings, alarm)
    return state, decisions


def _vacant(case: HarmCase | None, alarm: NewAlarm) -> bool:
    return case is None or case.cleared or (case.kind == JUDGED and alarm.kind != JUDGED)


def _case(settings: PolicySettings, under_way: HarmCase | None, alarm: NewAlarm) -> HarmCase:
    """Return the alarm's case, with the retraining of the case before it where one is under way."""
    case = under_way or HarmCase(alarm_id="", version="", onset_ms=0, labels_wanted=0)
    return replace(
        case,
        alarm_id=alarm.alarm_id,
        version=alarm.version,
        onset_ms=alarm.onset_ms,
        labels_wanted=settings.min_fresh_labels,
        cleared=False,
        kind=alarm.kind,
    )


def _short(case: HarmCase, fresh: int) -> list[Decision]:
    if fresh >= case.labels_wanted:
        return []
    found = _found(case) if case.kind == JUDGED else "harm is proven"
    reason = f"{found}; a retraining needs {case.labels_wanted} labels since the onset, there are {fresh}"
    return [AskLabels(alarm_id=case.alarm_id, version=case.version, wanted=case.labels_wanted - fresh, reason=reason)]


def _mentioned(settings: PolicySettings, alarm: NewAlarm) -> list[Decision]:
    note = Annotate(
        alarm_id=alarm.alarm_id, version=alarm.version, reason=f"{alarm.kind}: noted, no retraining for this"
    )
    if alarm.kind not in ASKS_LABELS:
        return [note]
    reason = f"{alarm.kind}: labels would tell whether it does harm"
    wanted = settings.min_fresh_labels
    asked = AskLabels(
        alarm_id=alarm.alarm_id, version=alarm.version, wanted=wanted, reason=reason, first=alarm.label_first
    )
    return [note, asked]


def _ask(
    settings: PolicySettings, state: PolicyState, observation: PolicyObservation
) -> tuple[PolicyState, Sequence[Decision]]:
    """One retraining at a time, with labels enough, rested, within the day's budget."""
    now, case = observation.time_ms, state.case
    recent = [at for at in state.asked_ms if now - at < DAY_MS]
    state = replace(state, asked_ms=recent)
    ready = case is not None and not case.request_id and observation.fresh_labels >= case.labels_wanted
    if case is None or not ready or observation.paused or now < state.rest_until_ms:
        return state, []
    if len(recent) >= settings.budget_per_day:
        return state, []
    asked = _retraining(case, observation.fresh_labels)
    if settings.observes:
        note = _note(case, f"{asked.reason}: not asked for, policy.mode is observe; `homeostat retrain` asks")
        return replace(state, case=replace(case, held=True)), [] if case.held else [note]
    case = replace(
        case,
        held=False,
        attempt=asked.attempt,
        request_id=asked.request_id,
        asked_ms=now,
        labels_asked=asked.fresh_labels,
    )
    return replace(state, case=case, asked_ms=[*recent, now]), [asked]


def _retraining(case: HarmCase, fresh: int) -> AskRetraining:
    attempt = case.attempt + 1
    return AskRetraining(
        request_id=request_id(case.alarm_id, attempt),
        alarm_id=case.alarm_id,
        version=case.version,
        since_ms=case.onset_ms,
        attempt=attempt,
        fresh_labels=fresh,
        reason=f"{_found(case)} since {clock(case.onset_ms)}; {fresh} labels to learn from (attempt {attempt})",
    )


def _found(case: HarmCase) -> str:
    return "a judge model finds harm" if case.kind == JUDGED else "labels prove harm"


def _note(case: HarmCase, reason: str) -> Annotate:
    return Annotate(alarm_id=case.alarm_id, version=case.version, reason=reason)
