"""Do labels prove harm? Labelled replies are tested against the error rate that the reference's labels allow.

>>> from monitor.explain.examples import LabelledEvent
>>> from monitor.signals.interface import GivenLabel
>>> about = About("quality", "v1", baseline=Baseline(100, 5, limit=0.1, enough=True))
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

from monitor.detectors import risk
from monitor.detectors.episode import EndedAlarm, Over, steps
from monitor.detectors.interface import Moment
from monitor.detectors.risk import ProvenHarm, Risk
from monitor.explain.alarm import alarm, shown, where
from monitor.explain.examples import explain
from monitor.explain.slices import Valued
from monitor.findings import Alarm, Json, clock
from monitor.reference.dependence import LabelledLosses, OpenBlock, added
from monitor.settings import MonitorSettings
from monitor.signals.interface import UNLABELLED, WRONG, About, Baseline, LabelStep, MissingTest, Rows, Transition


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
    """Return why there is no limit: labels are missing, or nearly all of them say wrong."""
    known = about.baseline
    if known.limit is not None:
        return {}
    if not known.enough:
        few = f"{known.labelled} answers of the reference are labelled, {settings.min_reference_labels} are needed"
        return {"": MissingTest(few, for_good=False)}
    reason = (
        f"{known.errors} of the reference's {known.labelled} labels say wrong: there is no room above that to prove "
        "harm in. See whether labels and metric fit the answers; then `homeostat alarms accept` begins a new reference"
    )
    return {"": MissingTest(reason)}


def baseline(settings: MonitorSettings, known: LabelledLosses) -> Baseline:
    """Return what the reference's labels say, and the error rate that is still accepted."""
    labelled, errors = known.labelled, known.errors
    if labelled < settings.min_reference_labels:
        return Baseline(labelled, errors, None, known.block, known.inflation)
    bound = risk.upper_bound(math.ceil(known.rate * known.worth), known.worth, settings.baseline_confidence)
    limit = bound + settings.tolerance
    return Baseline(labelled, errors, limit if risk.testable(limit) else None, known.block, known.inflation, True)


def tester(settings: MonitorSettings, known: Baseline) -> Risk:
    """Return the test of labels, in blocks of as many steps as the reference asks for."""
    assert known.limit is not None
    return Risk(known.limit, settings.label_arl / known.block, inflation=known.inflation)


def before_onset(state: State, raised: Alarm) -> int:
    """Return how many labels were tested before the onset of the alarm that was just raised."""
    return state.test.count - int(raised.evidence["since_onset"]["count"])


def harm_evidence(threshold: float, known: Baseline, harm: ProvenHarm) -> dict[str, Json]:
    """Return what proves harm, as an alarm carries it."""
    return {
        "statistic": harm.statistic,
        "threshold": threshold,
        "limit": known.limit,
        "baseline": {"labelled": known.labelled, "errors": known.errors},
        "since_onset": {"count": harm.count, "losses": round(harm.losses, 4)},
    }


def right_share(known: Baseline) -> str:
    """Return the share of right answers in the reference, for people."""
    return f"{1.0 - known.errors / known.labelled:.0%}" if known.labelled else "unknown"


def _alarm(settings: MonitorSettings, about: About, harm: ProvenHarm, last: Moment) -> Alarm:
    """More answers are wrong than the limit accepts."""
    known, accuracy = about.baseline, 1.0 - harm.losses / harm.count
    losses, since_ms, measure = [event.loss for event in about.tested], harm.since[1], "share of wrong answers"
    before = _reference_losses(about.members or [()] * len(about.labels), about.labels)
    explained = explain(about.slices, about.tested, losses, before, since_ms=since_ms, measure=measure)
    summary = (
        f"{about.version} is right in {accuracy:.0%} of the {harm.count} labelled answers since "
        f"{clock(since_ms)}; it was {right_share(known)} in the reference"
    )
    proof = harm_evidence(settings.label_arl / known.block, known, harm) | {"accuracy_since_onset": round(accuracy, 4)}
    summary += where(explained)
    return alarm(about.kind, about.version, harm.since, last, proof | shown(explained), summary, harm=1.0 - accuracy)


def _reference_losses(members: Sequence[tuple[int, ...]], labels: Sequence[int]) -> Valued:
    """Return what the labels of the reference say, with the slices of each."""
    known = [(each, float(label == WRONG)) for each, label in zip(members, labels, strict=True) if label != UNLABELLED]
    return Valued([each for each, _ in known], [loss for _, loss in known])
