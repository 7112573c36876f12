"""Labels of one version: the reference's make the baseline, all later ones test it. One label per event, and one step
of the test for all that one person's replies were labelled in a turn. Ratings (a fair thumb or score) are labels of
sources of their own (`monitor.selection.sources.rated`), which wait, and are tested, in the same way.

Labels of events that an alarm chose (`monitor.explain.examples`) check the estimate only: they are no fair sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec.structs import replace

from monitor.explain import examples
from monitor.explain.examples import LabelledEvent
from monitor.findings import Finding
from monitor.losses import UNLABELLED
from monitor.selection.sources import IN_ORDER, is_drawn, judge_of, parted, read
from monitor.settings import MonitorSettings
from monitor.signals.interface import Complained, GivenLabel, LabelStep, ModelScores, RatingStep
from monitor.watch import untested
from monitor.watch.adoption import adopt, adopt_drawn, adopt_early, placed, steps_of
from monitor.watch.event_times import made_ms
from monitor.watch.open_alarms import LABELLED_KEPT, Step, taken, withdrawn
from monitor.watch.replies import RECENT_KEPT
from monitor.watch.strays import of_one_metric
from monitor.watch.version import AwaitedEvent, Label, Latest, VersionState, baselines, by_source, measured

WAITING_KEPT = 2_000
FILE = 10  # labels of the reference in a turn: they come from a file, not from people who use the answers
OLD_FILE = 3  # labels of old replies in a turn, which come from a file too
OLD_MS = 900_000  # since a reply was served: people who use the answers have labelled it by then
BATCH_MS = 150_000  # since replies were served of which `FILE` are labelled at once: the labels were gathered
FILE_TURNS = 2  # after which nothing more of a file is expected
FILE_KEPT = 4_000  # labels of old replies that wait for the rest of their file


def take_labels(
    settings: MonitorSettings, version: VersionState, labels: Sequence[Label]
) -> tuple[VersionState, list[Finding], list[Label]]:
    """Take labels of whole turns: within each they are judged in the order of their events' hashes, so that a sorted
    file is no episode. The third value holds labels that arrived before their event; pass them in again later."""
    version, estimated = _scored(settings, version, [label for label in labels if judge_of([label.origin])])
    labels = [label for label in labels if not judge_of([label.origin])]
    version, complained = _complained(settings, version, labels)
    labels = sorted((label for label in labels if label.judges), key=_order)
    ratings = [label for label in labels if _rates(label)]
    version, compared = of_one_metric(settings, version, [label for label in labels if not _rates(label)])
    version, others = _into_reference(settings, version, compared)
    turn, filed = max((label.turn for label in labels), default=0), _old(version.latest, labels, OLD_MS) >= OLD_FILE
    version = _file_noted(version, labels, turn, filed=filed, settled=len(compared) - len(others))
    if version.reference is None:
        passed = {*version.queue.repeats, *version.queue.labelled}
        version = _rated_early(settings, version, ratings)
        return version, [*estimated, *complained], [label for label in others if label.event_print not in passed]
    version, findings = _queue(settings, version, sorted([*others, *ratings], key=_order))
    findings = [*estimated, *complained, *findings]
    most = FILE_KEPT if filed else min(WAITING_KEPT, len(version.past.losses))
    version, found = _release(settings, adopt_early(version), turn, most)
    version, left_out = _left_out(settings, version, max((label.time_ms for label in labels), default=0))
    return version, [*findings, *found, *left_out], []


def note_labels(settings: MonitorSettings, version: VersionState, labels: Sequence[Label]) -> VersionState:
    """Take labels of a version that serves no longer. Those of its reference are kept, should it serve again; no others
    are tested, now or then: its answers reach no client any more."""
    fair = [label for label in labels if label.judges and not _rates(label)]
    version, compared = of_one_metric(settings, version, sorted(fair, key=_order))
    version, others = _into_reference(settings, version, compared)
    labelled = dict.fromkeys([*version.queue.labelled, *(label.event_print for label in others)])
    return replace(version, queue=replace(version.queue, labelled=list(labelled)[-LABELLED_KEPT:]))


def take_rest_of_file(settings: MonitorSettings, version: VersionState, turn: int) -> Step:
    """Test the labels that waited for the rest of a file, once that is over."""
    if not (version.reference and version.queue.waiting and version.queue.file_turn):
        return version, []
    return _release(settings, version, turn, FILE_KEPT)


def _file_noted(
    version: VersionState, labels: Sequence[Label], turn: int, *, filed: bool, settled: int
) -> VersionState:
    """Remember the turn of labels that come from a file. `filed`: old replies are labelled. `settled`: how many labels
    are of the reference."""
    file_turn = version.queue.file_turn
    batch = _old(version.latest, labels, BATCH_MS) >= FILE
    goes_on = file_turn and turn <= file_turn + FILE_TURNS and len(labels) >= FILE
    if filed or batch or goes_on or settled >= FILE:
        return replace(version, queue=replace(version.queue, file_turn=max(turn, file_turn)))
    return version


def _left_out(settings: MonitorSettings, version: VersionState, time_ms: int) -> Step:
    """Report once what the labels of the reference leave no room to test; an alarm of it is over."""
    version, findings = untested.found(settings, version, time_ms)
    if ("quality", "") in untested.reasons(settings, version):
        version, over = withdrawn(settings, version, "quality", ("", time_ms))
        findings += over
    return version, findings


def _into_reference(
    settings: MonitorSettings, version: VersionState, labels: Sequence[Label]
) -> tuple[VersionState, list[Label]]:
    """Settle labels of the reference: the first one counts, for a bounded time. Give the others back, and drawn ones:
    those begin with a reference of their own."""
    past, reference = version.past, version.reference
    prints = reference.prints if reference else version.gathering.prints
    if {label.event_print for label in labels}.isdisjoint(prints):
        return version, list(labels)
    positions = {one: i for i, one in enumerate(prints)}
    until_ms = math.inf if reference is None else version.frozen_ms + settings.late_labels_s * 1_000
    settled, turns = list(past.losses), list(past.turns or [0] * len(past.losses))
    origins, names = list(past.origins or [0] * len(past.losses)), list(past.sources)
    others: list[Label] = []
    for label in labels:
        position = None if is_drawn(label.origin) else positions.get(label.event_print)
        if position is None:
            others.append(label)
        elif settled[position] == UNLABELLED and label.time_ms <= until_ms:
            settled[position], turns[position] = label.loss, label.turn
            names, origins[position] = placed(names, label.origin)
    if settled == past.losses:
        return version, others
    past = replace(past, losses=settled, turns=turns, origins=origins, sources=names)
    return replace(version, past=replace(past, known=measured(past), known_by=by_source(past))), others


def _queue(settings: MonitorSettings, version: VersionState, labels: Sequence[Label]) -> Step:
    """Take later labels, each event's first: they wait for a baseline, if there is none. One of an event that was
    chosen for it checks the estimate, and nothing else; of a rating there is no estimate."""
    passed, asked = {*version.queue.repeats, *version.queue.labelled}, set(version.queue.asked)
    repeats = set(version.queue.repeats)
    findings: list[Finding] = []
    for label in labels:
        if label.event_print in passed or label.reply in repeats or _before_accepted(version, label):
            continue
        passed.add(label.event_print)
        queue, in_order = version.queue, _in_order(label)
        chosen = label.reply in asked and not in_order and not is_drawn(label.origin)
        labelled = [*queue.labelled, label.event_print][-LABELLED_KEPT:]
        waiting = queue.waiting if chosen or in_order else [*queue.waiting, label]
        version = replace(version, queue=replace(queue, labelled=labelled, waiting=waiting))
        if in_order:
            version, found = _test(settings, version, [label])
            findings += found
        elif chosen and not _rates(label):
            version, found = taken(settings, version, LabelStep([_given(version.latest, label)], chosen=True))
            findings += found
    return version, findings


def _before_accepted(version: VersionState, label: Label) -> bool:
    """Check whether it is of a reply that came before an operator accepted what is normal now."""
    recent = version.latest.recent
    if not version.accepted_ms or label.reply in recent:
        return False
    made = made_ms(label.event_id)
    return len(recent) < RECENT_KEPT if made is None else made <= version.accepted_ms


def _release(settings: MonitorSettings, version: VersionState, turn: int, most: int) -> Step:
    """Test the labels that waited for a baseline, if there is one now. While a file comes, its labels wait until all of
    it is there: it may be sorted by verdict, and take many turns. Where people label so much all the time, no more of
    them wait than the reference has."""
    queue = version.queue
    if queue.file_turn and turn < queue.file_turn + FILE_TURNS and len(queue.waiting) < most:
        return version, []
    if queue.file_turn:
        queue = replace(queue, file_turn=0, waiting=sorted(queue.waiting, key=lambda label: label.event_print))
    version = adopt_drawn(settings, adopt(settings, replace(version, queue=queue)))
    queue = version.queue
    ready = {source for source, known in baselines(settings, version).items() if known.enough}
    findings: list[Finding] = []
    waiting = [label for label in queue.waiting if label.origin in ready]
    rest = [label for label in queue.waiting if label.origin not in ready]
    version = replace(version, queue=replace(queue, waiting=rest[-WAITING_KEPT:]))
    for step in steps_of(version.latest, waiting):
        version, found = _test(settings, version, [waiting[k] for k in step])
        findings += found
    return version, findings


def _test(settings: MonitorSettings, version: VersionState, step: Sequence[Label]) -> Step:
    """Take the labels of one step, or the ratings, and remember them for alarms to come."""
    latest, measure = version.latest, parted(step[0].origin)[0]
    given = [_given(latest, label) for label in step]
    events = [each.event for each in given]
    if measure:
        ratings = latest.ratings | {measure: examples.kept(latest.ratings.get(measure, []), events)}
        version = replace(version, latest=replace(latest, ratings=ratings))
        return taken(settings, version, RatingStep(given, step[0].origin))
    version = replace(version, latest=replace(latest, tested=examples.kept(latest.tested, events)))
    return taken(settings, version, LabelStep(given, source=step[0].origin))


def _given(latest: Latest, label: Label) -> GivenLabel:
    """Return the label at the time when its event was served, as far as that is known; else when it was given. A
    retraining takes the replies since the onset, which may be days before their labels."""
    known = latest.recent.get(label.reply) or AwaitedEvent(made_ms(label.event_id) or label.time_ms, -1.0)
    event = LabelledEvent(label.event_id, known.time_ms, known.slices, label.loss)
    return GivenLabel(event, known.chance, label.time_ms, label.weight)


def _old(latest: Latest, labels: Sequence[Label], age_ms: int) -> int:
    """Return how many are of replies that were served so long before, as far as that is known."""
    return sum(label.time_ms - (_served_ms(latest, label) or label.time_ms) >= age_ms for label in labels)


def _served_ms(latest: Latest, label: Label) -> int | None:
    known = latest.recent.get(label.reply)
    return known.time_ms if known else made_ms(label.event_id)


def _rated_early(settings: MonitorSettings, version: VersionState, ratings: Sequence[Label]) -> VersionState:
    """Keep ratings that come before the reference is complete: they say what is usual. Those that are judged in the
    order of their replies begin after it."""
    version, _ = _queue(settings, version, [label for label in ratings if not _in_order(label)])
    return replace(version, queue=replace(version.queue, waiting=version.queue.waiting[-WAITING_KEPT:]))


def _rates(label: Label) -> bool:
    return bool(parted(label.origin)[0])


def _in_order(label: Label) -> bool:
    return read(label.origin).selection in IN_ORDER


def _complained(settings: MonitorSettings, version: VersionState, labels: Sequence[Label]) -> Step:
    """Take what was volunteered: complaints are a signal of their own, and nothing of it judges."""
    count = sum(not label.judges for label in labels)
    if count:
        version = replace(version, past=replace(version.past, volunteered=version.past.volunteered + count))
    given = {label.event_print: label.time_ms for label in labels if label.complaint}
    if not given or version.reference is None:
        return version, []
    return taken(settings, version, Complained(given, max(label.time_ms for label in labels)))


def _scored(settings: MonitorSettings, version: VersionState, scores: Sequence[Label]) -> Step:
    """Take a judge model's scores, with no label behind them: an estimate, and a signal of their own."""
    findings: list[Finding] = []
    if version.reference is not None:
        for source in dict.fromkeys(each.origin for each in scores):
            given = [_given(version.latest, each) for each in scores if each.origin == source]
            version, found = taken(settings, version, ModelScores(source, given))
            findings += found
    return version, findings


def _order(label: Label) -> tuple[int, int]:
    return label.turn, label.event_print
