"""The open alarms of one version: what it takes to open one, to close one, and to arm its detector again."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from monitor.describe.fingerprint import event_print
from monitor.detectors import risk
from monitor.detectors.blocks import Block
from monitor.detectors.interface import Moment
from monitor.findings import Alarm, AlarmCleared, Cause, Finding, Kind
from monitor.operator_answer import Answer
from monitor.reference.dependence import Open
from monitor.settings import MonitorSettings
from monitor.signals import burn_rate, drift, fairness, safety
from monitor.watch.version import Raised, Watch

ASKED_KEPT = 200
LABELLED_KEPT = 4_000  # events whose label was tested

WHY: dict[Cause, str] = {
    "quiet": "nothing has spoken for it for a while",
    "retired": "another version serves now",
    "untested": "nothing is left to test it by",
    "cleared": "an operator cleared it",
    "accepted": "an operator takes what comes now for normal: a new reference begins",
}

PROMISED = ("errors", "latency")

Found = tuple[Watch, list[Finding]]


def place(kind: Kind, about: str = "") -> str:
    """Where an open alarm is kept: a version has one of each kind, about each flag and group.

    >>> place("drift"), place("safety", "output_pii")
    ('drift', 'safety/output_pii')
    """
    return f"{kind}/{about}" if about else kind


def opened(watch: Watch, alarm: Alarm, labels_before: int = 0) -> Found:
    """With the alarm open, and the events that it asks labels for remembered."""
    asked = [*watch.asked, *map(event_print, alarm.evidence.get("label_first", []))]
    raised = Raised(alarm.time_ms, alarm.onset_ms, labels_before, alarm.key, alarm.kind, alarm.about, alarm.harm)
    opened = watch.raised | {place(alarm.kind, alarm.about): raised}
    return replace(watch, asked=asked[-ASKED_KEPT:], raised=opened), [alarm]


def closed(watch: Watch, kind: Kind, last: Moment, cause: Cause, about: str = "", by: str = "") -> Found:
    """With the alarm closed, if it is open."""
    open_alarms = dict(watch.raised)
    raised = open_alarms.pop(place(kind, about), None)
    if raised is None:
        return watch, []
    cleared = AlarmCleared(
        kind=kind,
        version=watch.version,
        about=about,
        alarm=raised.key,
        raised_ms=raised.time_ms,
        onset_ms=raised.onset_ms,
        time_ms=last[1],
        last_event=last[0],
        cause=cause,
        by=by,
        summary=f"{watch.version}: the alarm of kind {_named(kind, about)} is over: {WHY[cause]}",
    )
    return replace(watch, raised=open_alarms), [cleared]


def ended(
    settings: MonitorSettings, watch: Watch, chosen: Sequence[Raised], last: Moment, cause: Cause, by: str = ""
) -> Found:
    """With these alarms closed whatever their evidence, and their detectors armed again."""
    findings: list[Finding] = []
    for raised in chosen:
        watch = rearmed(settings, watch, raised.kind, raised.about)
        watch, found = closed(watch, raised.kind, last, cause, raised.about, by)
        findings += found
    return watch, findings


def withdrawn(settings: MonitorSettings, watch: Watch, kind: Kind, last: Moment) -> Found:
    """With this kind's alarm closed, if it is open, because nothing is left to test it by."""
    return ended(settings, watch, [each for each in watch.raised.values() if each.kind == kind], last, "untested")


def cleared(settings: MonitorSettings, watch: Watch, said: Answer) -> Found:
    """With the alarms closed that the operator means, and their detectors armed again."""
    meant = [
        each for each in watch.raised.values() if said.kind in (None, each.kind) and said.about in (None, each.about)
    ]
    return ended(settings, watch, meant, ("", said.time_ms), "cleared", said.by)


def accepted(settings: MonitorSettings, watch: Watch, said: Answer) -> Found:
    """With a new reference to gather. Labels of replies that came before it say nothing of it: they are not tested."""
    meant = [each for each in watch.raised.values() if each.kind not in PROMISED]
    watch, findings = ended(settings, watch, meant, ("", said.time_ms), "accepted", said.by)
    before = [*watch.labelled, *(watch.reference.prints if watch.reference else watch.prints), *watch.recent]
    fresh = Watch(
        version=watch.version,
        names=watch.names,
        seen_ms=watch.seen_ms,
        accepted_ms=watch.seen_ms,
        bursts=watch.bursts,
        repeats=watch.repeats,
        labelled=list(dict.fromkeys(before))[-LABELLED_KEPT:],
        slices=watch.slices,
        errors=watch.errors,
        latency=watch.latency,
        raised=watch.raised,
    )
    return fresh, findings


def rearmed(settings: MonitorSettings, watch: Watch, kind: Kind, about: str = "") -> Watch:
    """With the detector of this started over."""
    if kind == "quality":
        return replace(watch, quality=risk.restarted(watch.quality), unfinished=Open())
    if kind == "estimated_quality":
        return replace(watch, estimated=risk.restarted(watch.estimated), doubt=Block())
    if kind == "drift":
        ready = watch.reference
        return replace(watch, drift=drift.detectors(ready, settings.arl_events).start()) if ready else watch
    if kind == "safety":
        return replace(watch, safety=safety.rearmed(watch.safety, about))
    if kind == "fairness":
        return replace(watch, fairness=fairness.restarted(watch.fairness, about))
    if kind == "errors":
        return replace(watch, errors=burn_rate.State())
    return replace(watch, latency=burn_rate.State())


def _named(kind: Kind, about: str) -> str:
    return f"{kind} ({about})" if about else kind
