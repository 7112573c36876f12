"""The open alarms of one version: rows past its signals, alarms opened and closed, their detectors armed again."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from monitor.describe.fingerprint import event_print
from monitor.detectors.episode import EndedAlarm
from monitor.detectors.interface import Moment
from monitor.findings import Alarm, AlarmEnd, Cause, Finding, Kind
from monitor.operator_answer import OperatorAnswer
from monitor.settings import MonitorSettings
from monitor.signals.interface import Rows, Transition
from monitor.signals.quality import before_onset, tested_labels
from monitor.watch.version import (
    PROMISED,
    SIGNALS,
    Alarms,
    LabelQueue,
    Latest,
    UnresolvedAlarm,
    VersionState,
    about,
    each_about,
)

ASKED_KEPT = 200
LABELLED_KEPT = 4_000  # events whose label was tested

WHY: dict[Cause, str] = {
    "quiet": "nothing has spoken for it for a while",
    "retired": "another version serves now",
    "untested": "nothing is left to test it by",
    "cleared": "an operator cleared it",
    "accepted": "an operator takes what comes now for normal: a new reference begins",
}

Step = tuple[VersionState, list[Finding]]


def place(kind: Kind, about: str = "") -> str:
    """Return where an open alarm is kept: a version has one of each kind, about each flag and group.

    >>> place("drift"), place("safety", "output_pii")
    ('drift', 'safety/output_pii')
    """
    return f"{kind}/{about}" if about else kind


def taken(settings: MonitorSettings, version: VersionState, rows: Rows) -> Step:
    """Take rows past each signal, and open and close alarms by its transitions."""
    findings: list[Finding] = []
    for kind, signal, known in each_about(settings, version):
        before = getattr(version, kind)
        state, transitions = signal.update(settings, known, before, rows)
        if state is not before:
            version = replace(version, **{kind: state})
        for transition in transitions:
            version, found = _applied(version, kind, transition)
            findings += found
    return version, findings


def ended(
    settings: MonitorSettings,
    version: VersionState,
    chosen: Sequence[UnresolvedAlarm],
    last: Moment,
    cause: Cause,
    by: str = "",
) -> Step:
    """Close these alarms whatever their evidence, and arm their detectors again."""
    findings: list[Finding] = []
    for each in chosen:
        state = getattr(version, each.kind)
        state = SIGNALS[each.kind].cleared(settings, about(settings, version, each.kind), state, each.about)
        version, found = _closed(replace(version, **{each.kind: state}), each.kind, last, cause, each.about, by)
        findings += found
    return version, findings


def withdrawn(settings: MonitorSettings, version: VersionState, kind: Kind, last: Moment) -> Step:
    """Close this kind's alarm, if it is open, because nothing is left to test it by."""
    chosen = [each for each in version.alarms.raised.values() if each.kind == kind]
    return ended(settings, version, chosen, last, "untested")


def cleared(settings: MonitorSettings, version: VersionState, answer: OperatorAnswer) -> Step:
    """Close the alarms that the operator means, and arm their detectors again."""
    meant = [
        each
        for each in version.alarms.raised.values()
        if answer.kind in (None, each.kind) and answer.about in (None, each.about)
    ]
    return ended(settings, version, meant, ("", answer.time_ms), "cleared", answer.by)


def accepted(settings: MonitorSettings, version: VersionState, answer: OperatorAnswer) -> Step:
    """Begin a new reference. Labels of replies that came before it say nothing of it: they are not tested."""
    meant = [each for each in version.alarms.raised.values() if each.kind not in PROMISED]
    version, findings = ended(settings, version, meant, ("", answer.time_ms), "accepted", answer.by)
    prints, queue = version.reference.prints if version.reference else version.gathering.prints, version.queue
    before = dict.fromkeys([*queue.labelled, *prints, *version.latest.recent])
    fresh = VersionState(
        version=version.version,
        names=version.names,
        seen_ms=version.seen_ms,
        accepted_ms=version.seen_ms,
        bursts=version.bursts,
        queue=LabelQueue(labelled=list(before)[-LABELLED_KEPT:], repeats=queue.repeats),
        latest=Latest(slices=version.latest.slices),
        alarms=Alarms(raised=version.alarms.raised),
    )
    return replace(fresh, **{kind: getattr(version, kind) for kind in PROMISED}), findings


def _applied(version: VersionState, kind: Kind, transition: Transition) -> Step:
    if isinstance(transition, Alarm):
        return _opened(version, transition), [transition]
    if isinstance(transition, EndedAlarm):
        return _closed(version, kind, transition.last, transition.cause, transition.about)
    return version, [transition]


def _opened(version: VersionState, alarm: Alarm) -> VersionState:
    """Return the version with the alarm open, and the events for which it asks labels."""
    before = _labels_before(version, alarm)
    asked = [*version.queue.asked, *map(event_print, alarm.evidence.get("label_first", []))]
    each = UnresolvedAlarm(alarm.time_ms, alarm.onset_ms, before, alarm.key, alarm.kind, alarm.about, alarm.harm)
    raised = version.alarms.raised | {place(alarm.kind, alarm.about): each}
    queue = replace(version.queue, asked=asked[-ASKED_KEPT:])
    return replace(version, queue=queue, alarms=replace(version.alarms, raised=raised))


def _labels_before(version: VersionState, alarm: Alarm) -> int:
    """Return how many labels were tested before the onset of harm that asks for some. Where ratings prove the harm,
    those after it are counted that are remembered."""
    if alarm.kind == "judged_quality":
        return tested_labels(version.quality)
    if alarm.kind != "quality":
        return 0
    if "rating" not in alarm.evidence:
        return before_onset(version.quality, alarm)
    since = sum(event.time_ms >= alarm.onset_ms for event in version.latest.tested)
    return max(0, tested_labels(version.quality) - since)


def _closed(version: VersionState, kind: Kind, last: Moment, cause: Cause, what: str = "", by: str = "") -> Step:
    """Close the alarm, if it is open."""
    still_open = dict(version.alarms.raised)
    raised = still_open.pop(place(kind, what), None)
    if raised is None:
        return version, []
    name = f"{kind} ({what})" if what else kind
    over = AlarmEnd(
        kind=kind,
        version=version.version,
        about=what,
        alarm=raised.key,
        raised_ms=raised.time_ms,
        onset_ms=raised.onset_ms,
        time_ms=last[1],
        last_event=last[0],
        cause=cause,
        by=by,
        summary=f"{version.version}: the alarm of kind {name} is over: {WHY[cause]}",
    )
    return replace(version, alarms=replace(version.alarms, raised=still_open)), [over]
