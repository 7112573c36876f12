"""Do labels prove harm? Labelled replies are tested against the mean loss that the reference's labels allow.

Each source of labels has its own reference, limit and test, for sources err at different rates; what they prove adds up
(`monitor.selection.joint`). Labels given by chance are tested as they come, against those of the reference. An audit,
and a key that labels all, are tested in the order of the replies (`monitor.selection.ordered`). Volunteered labels are
no part of it. Ratings (fair thumbs and scores) are further sources, each with a reference of its own kind. Labels of
replies that were drawn are weighed (`monitor.selection.weights`): their source's reference, limit and test are in
fourths of a loss.

>>> from monitor.explain.examples import LabelledEvent
>>> from monitor.signals.interface import GivenLabel
>>> about = About("quality", "v1", baseline=Baseline(100, 5.0, limit=0.1, enough=True))
>>> settings, state, raised = MonitorSettings(), State(), []
>>> for k in range(60):
...     event = LabelledEvent(str(k), k, (), float(k >= 30))
...     state, transitions = update(settings, about, state, LabelStep([GivenLabel(event, -1.0, k)]))
...     raised += transitions
>>> [(alarm.first_event, alarm.last_event, alarm.harm) for alarm in raised]
[('30', '35', 1.0)]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from monitor.detectors import mixture, risk
from monitor.detectors.episode import EndedAlarm, Episode, Over, steps
from monitor.detectors.risk import ProvenHarm, Risk
from monitor.findings import Alarm
from monitor.metrics import spoken
from monitor.reference import limits
from monitor.reference.dependence import LabelledLosses, OpenBlock, added
from monitor.selection import joint, ordered, sources
from monitor.selection.ordered_labels import OrderedLabels
from monitor.selection.sources import BEFORE_SOURCES, IN_ORDER, is_drawn, parted
from monitor.selection.weights import MOST, scaled
from monitor.settings import MonitorSettings
from monitor.signals import wording
from monitor.signals.interface import (
    About,
    Baseline,
    LabelStep,
    MissingTest,
    ModelScores,
    RatingStep,
    Replies,
    Rows,
    Transition,
)
from monitor.signals.labelled import awaited
from monitor.signals.labelled.proof import alarm_of

CERTAIN = 0.999  # that more labels leave no room either, where it is said for good
DRAWN_LEARNED = 300  # labels


class SourceTest(msgspec.Struct, frozen=True):
    """The test of one source, and its labels since the last full block."""

    test: risk.State = risk.State()
    unfinished: OpenBlock = OpenBlock()


class State(msgspec.Struct, frozen=True):
    """The test of the first source, those of further ones, and of the ones that are judged in order. The names on the
    wire are `monitor.watch.record`'s."""

    test: risk.State = msgspec.field(name="quality", default=risk.State())
    unfinished: OpenBlock = OpenBlock()
    source: str = BEFORE_SOURCES
    more: dict[str, SourceTest] = {}
    ordered: dict[str, OrderedLabels] = {}


def start(settings: MonitorSettings, about: About) -> State:
    """Return the state in which no label was tested."""
    return State()


def update(settings: MonitorSettings, about: About, state: State, rows: Rows) -> tuple[State, list[Transition]]:
    """Take the labels of one step: their mean loss is tested, once a block is full. Without a limit nothing is. Take
    replies too, whose labels are awaited, and what a judge model says of them: an estimate."""
    if isinstance(rows, Replies):
        return _awaited(settings, about, state, rows)
    if isinstance(rows, ModelScores):
        after = awaited.estimated(state.ordered, rows)
        return (state if after == state.ordered else replace(state, ordered=after)), []
    if not isinstance(rows, LabelStep | RatingStep):
        return state, []
    if sources.read(rows.source).selection in IN_ORDER:
        known = state.ordered.get(rows.source)
        if known is None and isinstance(rows, RatingStep):  # awaited of all such replies from now on
            known = OrderedLabels(test=mixture.State(episode=state.test.episode))
        return (state, []) if known is None else (_with(state, rows.source, awaited.given(known, rows.labels)), [])
    return (state, []) if isinstance(rows, LabelStep) and rows.chosen else _tested(settings, about, state, rows)


def _tested(
    settings: MonitorSettings, about: About, state: State, rows: LabelStep | RatingStep
) -> tuple[State, list[Transition]]:
    """Test the labels of one step against their source's limit."""
    source, tests = rows.source, source_tests(state)
    known, mine = of_source(about, source), tests.get(source, SourceTest(risk.State(episode=state.test.episode)))
    if known.limit is None:
        return state, []
    events = [label.event for label in rows.labels]
    losses = [scaled(label.event.loss, label.weight) if is_drawn(source) else label.event.loss for label in rows.labels]
    loss, first = sum(losses) / len(events), events[0]
    block, full = added(mine.unfinished, known.block, loss, len(events), (first.id, first.time_ms))
    tests = tests | {source: replace(mine, unfinished=block)}
    if full is None:
        return _put(state, tests), []
    detectors = _detectors(settings, about, tests)
    after, transitions = joint.follow(
        detectors,
        {name: each.test for name, each in tests.items()},
        source,
        [full.loss],
        [full.first],
        steps(settings.alarm_clear_events, known.block),
        [full.labels],
        awaited.evidence(settings, state.ordered),
    )
    state = _put(state, {name: replace(each, test=after[name]) for name, each in tests.items()})
    state, last = _shared(state, after[source].episode, transitions), (events[-1].id, events[-1].time_ms)
    found: list[Transition] = []
    for each in transitions:
        found.append(EndedAlarm("", last) if isinstance(each, Over) else _proven(settings, about, source, each, last))
    return state, found


def _awaited(settings: MonitorSettings, about: About, state: State, rows: Replies) -> tuple[State, list[Transition]]:
    """Take replies whose labels are awaited, and judge those that are old enough."""
    found: list[Transition] = []
    for source in awaited.named(rows, state.ordered):
        rest = {name: each for name, each in state.ordered.items() if name != source}
        others = evidence(settings, about, replace(state, ordered=rest))
        known = state.ordered.get(source, OrderedLabels(test=mixture.State(episode=state.test.episode)))
        after, changes = awaited.replied(settings, source, known, rows, others)
        state = _with(state, source, after)
        for each in changes:
            over = isinstance(each.change, Over)
            state = _shared(state, after.test.episode, [each.change])
            seen = seen_by(about, source)
            found.append(EndedAlarm("", each.last) if over else awaited.proven(settings, seen, source, after, each))
        if after.withdrawn and not known.withdrawn and known.test.episode.open:
            state = cleared(settings, about, state, "")
            found.append(EndedAlarm("", rows.moments[-1], "untested"))
    return state, found


def evidence(settings: MonitorSettings, about: About, state: State) -> float:
    """Return the sum of the sources' statistics over their thresholds."""
    flat = sum(
        risk.statistic(each.test) * of_source(about, name).block / settings.label_arl
        for name, each in source_tests(state).items()
    )
    return flat + awaited.evidence(settings, state.ordered)


def cleared(settings: MonitorSettings, about: About, state: State, what: str) -> State:
    """Return the state with the tests started over; labels that they counted stay counted."""
    fresh = {name: SourceTest(risk.restarted(each.test)) for name, each in source_tests(state).items()}
    return replace(_put(state, fresh), ordered={name: ordered.restarted(each) for name, each in state.ordered.items()})


def tested_labels(state: State) -> int:
    """Return how many labels were tested, of all sources; ratings are none, for nothing can be learned from them."""
    flat = sum(each.test.count for name, each in source_tests(state).items() if not parted(name)[0])
    return flat + sum(each.labels for name, each in state.ordered.items() if not parted(name)[0])


def untested(settings: MonitorSettings, about: About, state: State) -> Mapping[str, MissingTest]:
    """Return why there is no limit: labels are missing, or nearly all of them say wrong; or why labels that come now
    cannot be compared with it. Where labels or ratings have one, which sources prove less because theirs do not
    come."""
    known, accepted = about.baseline, _accepted(about, state)
    if about.strange:
        accepted = {name: limit for name, limit in accepted.items() if parted(name)[0]}
    if any(limit is not None for limit in accepted.values()):
        return awaited.thin(settings, state.ordered)
    if about.strange:
        reason = (
            f"{spoken(about.strange)} makes the losses of labels now, {spoken(about.metric)} those of the reference: "
            "they cannot be compared and are not tested. `homeostat alarms accept` begins a new reference"
        )
        return {"": MissingTest(reason)}
    if state.ordered or not known.enough:
        return {"": MissingTest(awaited.few(settings, about, state.ordered, drawn_least(settings)), for_good=False)}
    if not known.hopeless:
        reason = f"{wording.no_room(about)} so far: if that is usual, there is no room above it to prove harm in"
        return {"": MissingTest(f"{reason}. More labels of the reference may show that it is not", for_good=False)}
    reason = (
        f"{wording.no_room(about)}: there is no room above that to prove "
        "harm in. See whether labels and metric fit the answers; then `homeostat alarms accept` begins a new reference"
    )
    return {"": MissingTest(reason)}


def drawn_least(settings: MonitorSettings) -> int:
    """Return how many labels of drawn replies say what is usual: one may count four times, so few of them leave the
    limit far above that."""
    return max(settings.min_reference_labels, DRAWN_LEARNED)


def baseline(settings: MonitorSettings, known: LabelledLosses, least: int = 0, *, drawn: bool = False) -> Baseline:
    """Return what labels of the reference say, and the mean loss that is still accepted; `least`: labels without which
    it is none, where they are more than `min_reference_labels`. `drawn`: they are weighed."""
    found = Baseline(
        known.labelled, known.loss, block=known.block, inflation=known.inflation, graded=drawn or bool(known.levels)
    )
    if known.labelled < max(least, drawn_least(settings) if drawn else settings.min_reference_labels):
        return found
    tolerance = settings.tolerance / (MOST if drawn else 1.0)
    limit = limits.highest(known, settings.baseline_confidence) + tolerance
    if risk.leaves_room(limit, graded=found.graded):
        return replace(found, limit=limit, enough=True)
    least_limit = limits.lowest(known, CERTAIN) + tolerance
    return replace(found, enough=True, hopeless=not risk.leaves_room(least_limit, graded=found.graded))


def tester(settings: MonitorSettings, known: Baseline) -> Risk:
    """Return the test of labels, in blocks of as many steps as the reference asks for."""
    assert known.limit is not None
    return Risk(known.limit, settings.label_arl / known.block, inflation=known.inflation, graded=known.graded)


def seen_by(about: About, source: str) -> About:
    """Return what a source's own test may know of the version: its baseline, and of ratings the last ones."""
    measure, known = parted(source)[0], replace(about, baseline=of_source(about, source))
    if not measure:
        return known
    return replace(known, tested=about.ratings.get(measure, ()), losses=(), members=(), rating=measure)


def before_onset(state: State, raised: Alarm) -> int:
    """Return how many labels were tested before the onset of the alarm that was just raised."""
    return tested_labels(state) - int(raised.evidence["since_onset"]["count"])


def of_source(about: About, source: str) -> Baseline:
    """Return what the reference's labels of this source say."""
    return about.baselines.get(source, Baseline()) if about.baselines else about.baseline


def source_tests(state: State) -> dict[str, SourceTest]:
    """Return the test of each source whose labels are tested as they come."""
    return {state.source: SourceTest(state.test, state.unfinished), **state.more}


def _accepted(about: About, state: State) -> dict[str, float | None]:
    """Return the limit of each source; none that is not believed to be complete has one."""
    if not about.baselines and not state.ordered:
        return {"": about.baseline.limit}
    flat = {name for name in about.baselines if sources.read(name).selection not in IN_ORDER}
    known = {name: about.baselines[name].limit for name in flat}
    return known | {name: each.limit for name, each in state.ordered.items() if not each.withdrawn}


def _detectors(settings: MonitorSettings, about: About, tests: Mapping[str, SourceTest]) -> dict[str, Risk]:
    known = {name: of_source(about, name) for name in tests}
    return {name: tester(settings, each) for name, each in known.items() if each.limit is not None}


def _put(state: State, tests: Mapping[str, SourceTest]) -> State:
    """Return the state with these tests; the first source is one that was tested."""
    first = state.source if state.test.count or state.unfinished.steps or len(tests) == 1 else list(tests)[-1]
    more = {name: each for name, each in tests.items() if name != first and (each.test.count or each.unfinished.steps)}
    return replace(state, test=tests[first].test, unfinished=tests[first].unfinished, source=first, more=more)


def _with(state: State, source: str, known: OrderedLabels) -> State:
    return replace(state, ordered=state.ordered | {source: known})


def _shared(state: State, episode: Episode, transitions: object) -> State:
    """Return the state with this episode for every source, which starts over where it is over."""
    over = isinstance(transitions, list) and any(isinstance(each, Over) for each in transitions)
    tests = {
        name: replace(each, test=replace(risk.restarted(each.test) if over else each.test, episode=episode))
        for name, each in source_tests(state).items()
    }
    waiting = {name: ordered.restarted(each) if over else each for name, each in state.ordered.items()}
    waiting = {name: replace(each, test=replace(each.test, episode=episode)) for name, each in waiting.items()}
    return replace(_put(state, tests), ordered=waiting)


def _proven(settings: MonitorSettings, about: About, source: str, harm: ProvenHarm, last: tuple[str, int]) -> Alarm:
    known = of_source(about, source)
    seen = seen_by(about, source)
    if is_drawn(source) and known.limit is not None:
        seen = replace(seen, baseline=replace(known, loss=known.loss * MOST, limit=known.limit * MOST))
        harm = dataclasses.replace(harm, losses=min(harm.losses * MOST, harm.count))
    return alarm_of(seen, source, settings.label_arl / known.block, harm, last)
