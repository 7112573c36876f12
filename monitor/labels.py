"""Labels of one version: the reference's make the baseline, all later ones test it. One loss per event.

Labels of events that an alarm chose (`monitor.lately`) check the estimate only: they are no fair sample."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from monitor import alarms, calibration, conduct, lately
from monitor.detectors.episode import Over
from monitor.detectors.risk import Risk
from monitor.fairness import Outcomes
from monitor.findings import Finding, LabelsWanted
from monitor.lately import Told
from monitor.open_alarms import LABELLED_KEPT, closed, opened
from monitor.settings import MonitorSettings
from monitor.watch import RIGHT, UNLABELLED, WRONG, Baseline, Label, Recent, Watch, baseline

WAITING_KEPT = 2_000

Heard = tuple[Watch, list[Finding], list[Label]]


def hear(settings: MonitorSettings, watch: Watch, labels: Sequence[Label]) -> Heard:
    """Takes labels in order. The third value are those that came before their event, to be heard again."""
    positions = {one: i for i, one in enumerate(watch.reference.prints if watch.reference else watch.prints)}
    repeats, tested, asked = set(watch.repeats), set(watch.labelled), set(watch.asked)
    findings: list[Finding] = []
    early: list[Label] = []
    for label in labels:
        position = positions.get(label.event_print)
        if position is not None:
            watch, found = _settle(settings, watch, position, label)
            findings += found
        elif label.event_print in repeats or label.event_print in tested:
            continue
        elif watch.reference is None:
            early.append(label)
        else:
            tested.add(label.event_print)
            watch, found = (_check if label.event_print in asked else _test)(settings, watch, label)
            findings += found
    return watch, findings, early


def since_onset(watch: Watch) -> int:
    """Labels since the onset of the open quality alarm; 0 without one."""
    raised = watch.raised.get("quality")
    return watch.quality.count - raised.labels_before if raised else 0


def _settle(settings: MonitorSettings, watch: Watch, position: int, label: Label) -> tuple[Watch, list[Finding]]:
    """A label of the reference: the first one counts, for a bounded time."""
    late = watch.reference is not None and label.time_ms > watch.frozen_ms + settings.late_labels_s * 1_000
    if watch.labels[position] != UNLABELLED or late:
        return watch, []
    settled = [*watch.labels[:position], _outcome(label), *watch.labels[position + 1 :]]
    return _release(settings, replace(watch, labels=settled))


def _test(settings: MonitorSettings, watch: Watch, label: Label) -> tuple[Watch, list[Finding]]:
    labelled = [*watch.labelled, label.event_print][-LABELLED_KEPT:]
    watch = _adopt(settings, replace(watch, labelled=labelled, waiting=[*watch.waiting, label][-WAITING_KEPT:]))
    return _release(settings, watch)


def _check(settings: MonitorSettings, watch: Watch, label: Label) -> tuple[Watch, list[Finding]]:
    """A label of an event that was chosen for it tells of the estimate, and of nothing else."""
    return _trusted(replace(watch, labelled=[*watch.labelled, label.event_print][-LABELLED_KEPT:]), label)


def _adopt(settings: MonitorSettings, watch: Watch) -> Watch:
    """Once the reference's own labels can no longer come, the first later ones must serve as baseline."""
    known = baseline(settings, watch)
    over = watch.waiting[-1].time_ms > watch.frozen_ms + settings.late_labels_s * 1_000
    if known.limit is not None or not over:
        return watch
    lacking = settings.min_reference_labels - known.labelled
    adopted = [*watch.adopted, *map(_outcome, watch.waiting[:lacking])]
    return replace(watch, adopted=adopted, waiting=watch.waiting[lacking:])


def _release(settings: MonitorSettings, watch: Watch) -> tuple[Watch, list[Finding]]:
    """Tests the labels that waited for a baseline, if there is one now."""
    known = baseline(settings, watch)
    if watch.reference is None or known.limit is None:
        return watch, []
    findings: list[Finding] = []
    waiting, watch = watch.waiting, replace(watch, waiting=[])
    for label in waiting:
        watch, found = _judge(settings, watch, known, label)
        findings += found
    return watch, findings


def _judge(settings: MonitorSettings, watch: Watch, known: Baseline, label: Label) -> tuple[Watch, list[Finding]]:
    assert known.limit is not None
    event = _told(watch, label)
    limit = Risk(known.limit, settings.label_arl)
    moment = event.id, event.time_ms
    state, turns = limit.follow(watch.quality, [event.loss], [moment], settings.alarm_clear_events)
    watch, unfair = _fairness(settings, watch, event)
    watch, findings = _trusted(replace(watch, quality=state, told=lately.kept(watch.told, [event])), label)
    findings += unfair
    for turn in turns:
        if isinstance(turn, Over):
            watch, found = closed(watch, "quality", moment, "quiet")
        else:
            watch, found = opened(watch, alarms.quality(settings, watch, known, turn, event), turn.before)
        findings += found
    return watch, findings


def _fairness(settings: MonitorSettings, watch: Watch, event: Told) -> tuple[Watch, list[Finding]]:
    """Whether one group's answers are wrong more often than the others'."""
    tags = dict(watch.slices[i].split("=", 1) for i in event.slices)
    seen = Outcomes([event.id], [event.time_ms], [tags], [event.loss])
    return conduct.compared(settings, watch, "quality", seen)


def _told(watch: Watch, label: Label) -> Told:
    """At the time when the event was served, where that is still known; else when it was labelled."""
    recent = watch.recent.get(label.event_print) or Recent(label.time_ms, -1.0)
    return Told(label.event_id, recent.time_ms, recent.slices, float(not label.correct))


def _trusted(watch: Watch, label: Label) -> tuple[Watch, list[Finding]]:
    """What the label says of the estimate; once it is refuted, only labels can tell."""
    recent = watch.recent.get(label.event_print)
    if recent is None or recent.chance < 0:
        return watch, []
    trust = calibration.check(watch.trust, [label.correct - recent.chance])
    lost = trust.lost and not watch.trust.lost
    watch = replace(watch, trust=trust)
    if not lost:
        return watch, []
    reason = "labels refute the accuracy estimated from confidence: it is withdrawn, only labels can tell now"
    watch, over = closed(watch, "estimated_quality", (label.event_id, label.time_ms), "untested")
    return watch, [*over, LabelsWanted(version=watch.version, time_ms=label.time_ms, reason=reason)]


def _outcome(label: Label) -> int:
    return RIGHT if label.correct else WRONG
