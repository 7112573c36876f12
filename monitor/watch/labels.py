"""Labels of one version: the reference's make the baseline, all later ones test it. One label per event, and one step
of the test for all that one person's replies were labelled in a turn.

Labels of events that an alarm chose (`monitor.explain.examples`) check the estimate only: they are no fair sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec.structs import replace

from monitor.describe.people import UNKNOWN, together
from monitor.detectors.episode import Over, steps
from monitor.detectors.risk import Harm
from monitor.explain import alarm as alarms
from monitor.explain import examples as lately
from monitor.explain.examples import Told
from monitor.findings import Finding, LabelsWanted
from monitor.reference.dependence import added
from monitor.settings import MonitorSettings
from monitor.signals import calibration
from monitor.signals.fairness import Outcomes
from monitor.watch import conduct, untested
from monitor.watch.event_times import made_ms
from monitor.watch.open_alarms import LABELLED_KEPT, closed, opened, withdrawn
from monitor.watch.replies import RECENT_KEPT
from monitor.watch.version import RIGHT, UNLABELLED, WRONG, Baseline, Label, Recent, Watch, baseline, measured, tester

WAITING_KEPT = 2_000
FILE = 10  # labels of the reference in a turn: they come from a file, not from people who use the answers
OLD_FILE = 3  # labels of old replies in a turn, which come from a file too
OLD_MS = 900_000  # since a reply was served: people who use the answers have told what they tell of it
BATCH_MS = 150_000  # since replies were served of which `FILE` are told at once: somebody has gathered what is told
FILE_TURNS = 2  # after which nothing more of a file is expected
FILE_KEPT = 4_000  # labels of old replies that wait for the rest of their file

Heard = tuple[Watch, list[Finding], list[Label]]


def hear(settings: MonitorSettings, watch: Watch, labels: Sequence[Label]) -> Heard:
    """Takes labels of whole turns: within each they are judged in the order of their events' hashes, so that a sorted
    file is no episode. The third value are those that came before their event, to be heard again."""
    watch, others = _settle(settings, watch, sorted(labels, key=_order))
    turn, filed = max((label.turn for label in labels), default=0), _old(watch, labels, OLD_MS) >= OLD_FILE
    batch = _old(watch, labels, BATCH_MS) >= FILE
    goes_on = watch.file_turn and turn <= watch.file_turn + FILE_TURNS and len(labels) >= FILE
    if filed or batch or goes_on or len(labels) - len(others) >= FILE:
        watch = replace(watch, file_turn=max(turn, watch.file_turn))
    if watch.reference is None:
        passed = {*watch.repeats, *watch.labelled}
        return watch, [], [label for label in others if label.event_print not in passed]
    watch, findings = _take(settings, watch, others)
    most = FILE_KEPT if filed else min(WAITING_KEPT, len(watch.labels))
    watch, found = _release(settings, _adopt(settings, watch), turn, most)
    watch, left_out = _left_out(settings, watch, max((label.time_ms for label in labels), default=0))
    return watch, [*findings, *found, *left_out], []


def note(settings: MonitorSettings, watch: Watch, labels: Sequence[Label]) -> Watch:
    """Takes labels of a version that serves no longer. Those of its reference are kept, should it serve again; no
    others are tested, now or then: there is nobody left whom they could warn of it."""
    watch, others = _settle(settings, watch, sorted(labels, key=_order))
    heard = dict.fromkeys([*watch.labelled, *(label.event_print for label in others)])
    return replace(watch, labelled=list(heard)[-LABELLED_KEPT:])


def rest(settings: MonitorSettings, watch: Watch, turn: int) -> tuple[Watch, list[Finding]]:
    """Tests what waited for the rest of a file, once that is over."""
    if not (watch.reference and watch.waiting and watch.file_turn):
        return watch, []
    return _release(settings, watch, turn, FILE_KEPT)


def _left_out(settings: MonitorSettings, watch: Watch, time_ms: int) -> tuple[Watch, list[Finding]]:
    """What the labels of the reference leave no room to test: said once, and an alarm of it is over."""
    watch, findings = untested.told(settings, watch, time_ms)
    if baseline(settings, watch).limit is None:
        watch, over = withdrawn(settings, watch, "quality", ("", time_ms))
        findings += over
    return watch, findings


def since_onset(watch: Watch) -> int:
    """Labels since the onset of the open quality alarm; 0 without one."""
    raised = watch.raised.get("quality")
    return watch.quality.count - raised.labels_before if raised else 0


def _settle(settings: MonitorSettings, watch: Watch, labels: Sequence[Label]) -> tuple[Watch, list[Label]]:
    """Labels of the reference: the first one counts, for a bounded time. Gives the others back."""
    positions = {one: i for i, one in enumerate(watch.reference.prints if watch.reference else watch.prints)}
    until_ms = math.inf if watch.reference is None else watch.frozen_ms + settings.late_labels_s * 1_000
    settled, turns = list(watch.labels), watch.turns or [0] * len(watch.labels)
    turns, others = list(turns), list[Label]()
    for label in labels:
        position = positions.get(label.event_print)
        if position is None:
            others.append(label)
        elif settled[position] == UNLABELLED and label.time_ms <= until_ms:
            settled[position], turns[position] = _outcome(label), label.turn
    if settled == watch.labels:
        return watch, others
    return _measured(replace(watch, labels=settled, turns=turns)), others


def _measured(watch: Watch) -> Watch:
    return replace(watch, known=measured(watch))


def _take(settings: MonitorSettings, watch: Watch, labels: Sequence[Label]) -> tuple[Watch, list[Finding]]:
    """Later labels, each event's first: they wait for a baseline, if there is none."""
    passed, asked = {*watch.repeats, *watch.labelled}, set(watch.asked)
    findings: list[Finding] = []
    for label in labels:
        if label.event_print in passed or _before_accepted(watch, label):
            continue
        passed.add(label.event_print)
        if label.event_print in asked:
            watch, found = _check(settings, watch, label)
            findings += found
        else:
            labelled = [*watch.labelled, label.event_print][-LABELLED_KEPT:]
            watch = replace(watch, labelled=labelled, waiting=[*watch.waiting, label])
    return watch, findings


def _before_accepted(watch: Watch, label: Label) -> bool:
    """Whether it is of a reply that came before an operator accepted what is normal now."""
    if not watch.accepted_ms or label.event_print in watch.recent:
        return False
    made = made_ms(label.event_id)
    return len(watch.recent) < RECENT_KEPT if made is None else made <= watch.accepted_ms


def _check(settings: MonitorSettings, watch: Watch, label: Label) -> tuple[Watch, list[Finding]]:
    """A label of an event that was chosen for it tells of the estimate, and of nothing else."""
    return _trusted(settings, replace(watch, labelled=[*watch.labelled, label.event_print][-LABELLED_KEPT:]), label)


def _adopt(settings: MonitorSettings, watch: Watch) -> Watch:
    """Once the reference's own labels can no longer come, the first later ones must serve as baseline."""
    known = baseline(settings, watch)
    newest_ms = max((label.time_ms for label in watch.waiting), default=0)
    if known.enough or newest_ms <= watch.frozen_ms + settings.late_labels_s * 1_000:
        return watch
    lacking = settings.min_reference_labels - known.labelled
    chosen, waiting = watch.waiting[:lacking], watch.waiting[lacking:]
    first = len(watch.adopted)
    steps = {k: first + i for i, group in enumerate(_steps(watch, chosen)) for k in group}
    adopted_steps = [*watch.adopted_steps, *(steps[k] for k in range(len(chosen)))]
    adopted = [*watch.adopted, *map(_outcome, chosen)]
    return _measured(replace(watch, adopted=adopted, adopted_steps=adopted_steps, waiting=waiting))


def _release(settings: MonitorSettings, watch: Watch, turn: int, most: int) -> tuple[Watch, list[Finding]]:
    """Tests the labels that waited for a baseline, if there is one now. While a file comes, its labels wait until all
    of it is there: it may be sorted by verdict, and take many turns. Where people label so much all the time, no more
    of them wait than the reference has."""
    if watch.file_turn and turn < watch.file_turn + FILE_TURNS and len(watch.waiting) < most:
        return watch, []
    if watch.file_turn:
        watch = replace(watch, file_turn=0, waiting=sorted(watch.waiting, key=lambda label: label.event_print))
    known = baseline(settings, watch)
    if not known.enough:
        return replace(watch, waiting=watch.waiting[-WAITING_KEPT:]), []
    findings: list[Finding] = []
    waiting, watch = watch.waiting, replace(watch, waiting=[])
    for step in _steps(watch, waiting):
        watch, found = _judge(settings, watch, known, [waiting[k] for k in step])
        findings += found
    return watch, findings


def _steps(watch: Watch, labels: Sequence[Label]) -> list[list[int]]:
    """The places of those that are one step: a person's of one turn, or one reply's where nobody is known."""
    people = [recent.person if (recent := watch.recent.get(label.event_print)) else UNKNOWN for label in labels]
    return together([(label.turn, who or -1 - k) for k, (label, who) in enumerate(zip(labels, people, strict=True))])


def _judge(
    settings: MonitorSettings, watch: Watch, known: Baseline, step: Sequence[Label]
) -> tuple[Watch, list[Finding]]:
    """One step: the mean of its labels' losses."""
    events = [_told(watch, label) for label in step]
    watch, findings = _noted(settings, watch, step, events)
    watch, turns = _tested(settings, watch, known, events)
    for turn in turns:
        if isinstance(turn, Over):
            watch, found = closed(watch, "quality", (events[-1].id, events[-1].time_ms), "quiet")
        else:
            watch, found = opened(watch, alarms.quality(settings, watch, known, turn, events[-1]), turn.before)
        findings += found
    return watch, findings


def _tested(
    settings: MonitorSettings, watch: Watch, known: Baseline, events: Sequence[Told]
) -> tuple[Watch, list[Harm | Over]]:
    if known.limit is None:
        return watch, []
    loss, first = sum(event.loss for event in events) / len(events), events[0]
    block, full = added(watch.unfinished, known.block, loss, len(events), (first.id, first.time_ms))
    if full is None:
        return replace(watch, unfinished=block), []
    test, after = tester(settings, known), steps(settings.alarm_clear_events, known.block)
    state, turns = test.follow(watch.quality, [full.loss], [full.first], after, [full.labels])
    return replace(watch, unfinished=block, quality=state), turns


def _noted(
    settings: MonitorSettings, watch: Watch, step: Sequence[Label], events: Sequence[Told]
) -> tuple[Watch, list[Finding]]:
    """What each label says of groups and of the estimate."""
    findings: list[Finding] = []
    for label, event in zip(step, events, strict=True):
        watch, unfair = _fairness(settings, watch, event)
        watch, found = _trusted(settings, replace(watch, told=lately.kept(watch.told, [event])), label)
        findings += [*found, *unfair]
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


def _trusted(settings: MonitorSettings, watch: Watch, label: Label) -> tuple[Watch, list[Finding]]:
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
    watch, over = withdrawn(settings, watch, "estimated_quality", (label.event_id, label.time_ms))
    return watch, [*over, LabelsWanted(version=watch.version, time_ms=label.time_ms, reason=reason)]


def _old(watch: Watch, labels: Sequence[Label], age_ms: int) -> int:
    """How many are of replies that were served so long before, as far as that is known."""
    return sum(label.time_ms - (_served_ms(watch, label) or label.time_ms) >= age_ms for label in labels)


def _served_ms(watch: Watch, label: Label) -> int | None:
    recent = watch.recent.get(label.event_print)
    return recent.time_ms if recent else made_ms(label.event_id)


def _outcome(label: Label) -> int:
    return RIGHT if label.correct else WRONG


def _order(label: Label) -> tuple[int, int]:
    return label.turn, label.event_print
