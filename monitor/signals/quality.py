"""Do labels prove harm? Labelled replies are tested against the mean loss that the reference's labels allow.

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

import math
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from monitor.detectors import mean_bound, risk
from monitor.detectors.episode import EndedAlarm, Over, steps
from monitor.detectors.interface import Moment
from monitor.detectors.risk import ProvenHarm, Risk
from monitor.explain.alarm import alarm, shown, where
from monitor.explain.examples import explain
from monitor.explain.slices import Member, Valued
from monitor.findings import Alarm, Json, clock
from monitor.losses import UNLABELLED
from monitor.metrics import spoken
from monitor.reference.dependence import LabelledLosses, OpenBlock, added
from monitor.settings import MonitorSettings
from monitor.signals import wording
from monitor.signals.interface import About, Baseline, LabelStep, MissingTest, Rows, Transition


class State(msgspec.Struct, frozen=True):
    """The test, and tested labels since the last full block. The names on the wire are `monitor.watch.record`'s."""

    test: risk.State = msgspec.field(name="quality", default=risk.State())
    unfinished: OpenBlock = OpenBlock()


def start(settings: MonitorSettings, about: About) -> State:
    """Return the state in which no label was tested."""
    return State()


def update(settings: MonitorSettings, about: About, state: State, rows: Rows) -> tuple[State, list[Transition]]:
    """Take the labels of one step: their mean loss is tested, once a block is full. Without a limit nothing is."""
    known = about.baseline
    if not isinstance(rows, LabelStep) or rows.chosen or known.limit is None:
        return state, []
    events = [label.event for label in rows.labels]
    loss, first = sum(event.loss for event in events) / len(events), events[0]
    block, full = added(state.unfinished, known.block, loss, len(events), (first.id, first.time_ms))
    if full is None:
        return replace(state, unfinished=block), []
    after = steps(settings.alarm_clear_events, known.block)
    test, transitions = tester(settings, known).follow(state.test, [full.loss], [full.first], after, [full.labels])
    last = events[-1].id, events[-1].time_ms
    found: list[Transition] = [
        EndedAlarm("", last) if isinstance(transition, Over) else _alarm(settings, about, transition, last)
        for transition in transitions
    ]
    return State(test, block), found


def evidence(settings: MonitorSettings, about: About, state: State) -> float:
    """Return the statistic over its threshold."""
    return risk.statistic(state.test) * about.baseline.block / settings.label_arl


def cleared(settings: MonitorSettings, about: About, state: State, what: str) -> State:
    """Return the state with the test started over; labels that it counted stay counted."""
    return State(risk.restarted(state.test))


def untested(settings: MonitorSettings, about: About, state: State) -> Mapping[str, MissingTest]:
    """Return why there is no limit: labels are missing, or nearly all of them say wrong; or why labels that come now
    cannot be compared with it."""
    known = about.baseline
    if about.strange:
        reason = (
            f"{spoken(about.strange)} makes the losses of labels now, {spoken(about.metric)} those of the reference: "
            "they cannot be compared and are not tested. `homeostat alarms accept` begins a new reference"
        )
        return {"": MissingTest(reason)}
    if known.limit is not None:
        return {}
    if not known.enough:
        few = f"{known.labelled} answers of the reference are labelled, {settings.min_reference_labels} are needed"
        return {"": MissingTest(few, for_good=False)}
    reason = (
        f"{wording.no_room(about)}: there is no room above that to prove "
        "harm in. See whether labels and metric fit the answers; then `homeostat alarms accept` begins a new reference"
    )
    return {"": MissingTest(reason)}


def baseline(settings: MonitorSettings, known: LabelledLosses) -> Baseline:
    """Return what the reference's labels say, and the mean loss that is still accepted."""
    found = Baseline(
        known.labelled, known.loss, block=known.block, inflation=known.inflation, graded=bool(known.levels)
    )
    if known.labelled < settings.min_reference_labels:
        return found
    if known.levels:
        bound = mean_bound.upper_bound(known.levels, known.worth, settings.baseline_confidence)
    else:
        bound = risk.upper_bound(math.ceil(known.rate * known.worth), known.worth, settings.baseline_confidence)
    limit = bound + settings.tolerance
    return replace(found, limit=limit if risk.leaves_room(limit, graded=found.graded) else None, enough=True)


def tester(settings: MonitorSettings, known: Baseline) -> Risk:
    """Return the test of labels, in blocks of as many steps as the reference asks for."""
    assert known.limit is not None
    return Risk(known.limit, settings.label_arl / known.block, inflation=known.inflation, graded=known.graded)


def before_onset(state: State, raised: Alarm) -> int:
    """Return how many labels were tested before the onset of the alarm that was just raised."""
    return state.test.count - int(raised.evidence["since_onset"]["count"])


def harm_evidence(threshold: float, about: About, harm: ProvenHarm) -> dict[str, Json]:
    """Return what proves harm, as an alarm carries it."""
    known = about.baseline
    return {
        "metric": about.metric,
        "statistic": harm.statistic,
        "threshold": threshold,
        "limit": known.limit,
        "baseline": {"labelled": known.labelled, "loss": known.loss},
        "since_onset": {"count": harm.count, "losses": round(harm.losses, 4)},
    }


def _alarm(settings: MonitorSettings, about: About, harm: ProvenHarm, last: Moment) -> Alarm:
    """Answers are worse than the limit accepts."""
    known, loss, since_ms = about.baseline, harm.losses / harm.count, harm.since[1]
    losses, before = [event.loss for event in about.tested], _reference_losses(about.members, about.losses)
    measure = wording.measure(about)
    explained = explain(about.slices, about.tested, losses, before, since_ms=since_ms, measure=measure)
    summary = (
        f"{about.version} {wording.is_as_good(about, loss)} the {harm.count} labelled answers since "
        f"{clock(since_ms)}; it was {wording.was_as_good(about)} in the reference"
    )
    proof = harm_evidence(settings.label_arl / known.block, about, harm) | {"loss_since_onset": round(loss, 4)}
    summary += where(explained)
    return alarm(about.kind, about.version, harm.since, last, proof | shown(explained), summary, harm=loss)


def _reference_losses(members: Sequence[Member], losses: Sequence[float]) -> Valued:
    """Return what the labels of the reference say, with the slices of each."""
    pairs = zip(members or [()] * len(losses), losses, strict=True)
    known = [(each, loss) for each, loss in pairs if loss != UNLABELLED]
    return Valued([each for each, _ in known], [loss for _, loss in known])
