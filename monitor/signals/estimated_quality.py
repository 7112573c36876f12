"""Does the model's own confidence promise worse answers than the reference's labels allow?

An estimate, until labels refute it: then it is withdrawn, and only labels can show harm. Estimated losses are tested in
the blocks in which events are judged: neighbours that depend on each other are about as sure as each other.

>>> from monitor.describe.descriptors import CONFIDENCE
>>> from monitor.reference.frozen import freeze
>>> from monitor.signals.interface import Baseline
>>> rng = np.random.default_rng(0)
>>> right = rng.random(300) < 0.9
>>> rows = [[-0.1 * x if good else -3.0 - x] for x, good in zip(rng.random(300).tolist(), right.tolist())]
>>> ours = freeze(CONFIDENCE[-1:], rows, range(300))
>>> known = Baseline(300, 30.0, limit=0.2, enough=True)
>>> losses = (~right).astype(float).tolist()
>>> about = About("estimated_quality", "v1", CONFIDENCE[-1:], reference=ours, losses=losses, baseline=known)
>>> chances(about, State(), [[-0.05], [-3.5], [1.0]])
[0.9979, 0.0161, -1.0]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from msgspec.structs import replace

from monitor.describe.descriptors import CONFIDENCE
from monitor.detectors import risk
from monitor.detectors.blocks import Block, fill
from monitor.detectors.episode import EndedAlarm, Over, steps
from monitor.detectors.risk import ProvenHarm, Risk
from monitor.explain import examples
from monitor.explain.alarm import alarm, label_first, shown, where
from monitor.explain.examples import RecentEvent, explain
from monitor.explain.slices import Valued
from monitor.findings import Alarm, Json, LabelsWanted, clock
from monitor.losses import UNLABELLED
from monitor.reference.derived import derived
from monitor.reference.frozen import Reference, scorer
from monitor.selection.sources import is_drawn, parted
from monitor.settings import MonitorSettings
from monitor.signals import calibration, quality, wording
from monitor.signals.calibration import Calibration, Trust
from monitor.signals.interface import (
    About,
    GivenLabel,
    LabelStep,
    MissingTest,
    Replies,
    Rows,
    Transition,
)
from monitor.signals.labelled.proof import harm_evidence

REFUTED = "labels refute the accuracy estimated from confidence: it is withdrawn, only labels can tell now"


class State(msgspec.Struct, frozen=True):
    """The test, estimated losses of the unfinished block, and whether labels still bear the estimate out. The names on
    the wire are `monitor.watch.record`'s."""

    test: risk.State = msgspec.field(name="estimated", default=risk.State())
    block: Block = msgspec.field(name="doubt", default=Block())
    trust: Trust = Trust()


def start(settings: MonitorSettings, about: About) -> State:
    """Return the state in which nothing was estimated."""
    return State()


def update(settings: MonitorSettings, about: About, state: State, rows: Rows) -> tuple[State, list[Transition]]:
    """Take replies, whose estimated losses are tested; and labels, which bear the estimate out or refute it. Drawn ones
    do neither: complaints and flags, by which they were drawn, know more of a reply than its confidence."""
    if isinstance(rows, LabelStep) and is_drawn(rows.source):
        return state, []
    if isinstance(rows, LabelStep):
        found: list[Transition] = []
        for label in rows.labels:
            state, transitions = _checked(settings, about, state, label)
            found += transitions
        return state, found
    if isinstance(rows, Replies) and about.reference is not None:
        return _tested(settings, about, about.reference, state, rows.events)
    return state, []


def evidence(settings: MonitorSettings, about: About, state: State) -> float:
    """Return the statistic over its threshold."""
    return risk.statistic(state.test) / _arl(settings, about.reference) if about.reference else 0.0


def cleared(settings: MonitorSettings, about: About, state: State, what: str) -> State:
    """Return the state with the test started over; the trust stays as it is."""
    return State(risk.restarted(state.test), trust=state.trust)


def untested(settings: MonitorSettings, about: About, state: State) -> Mapping[str, MissingTest]:
    """Return why there is no limit, as for `quality`, or that labels refuted the estimate."""
    if about.baseline.limit is not None and state.trust.lost:
        return {"": MissingTest("labels refuted what confidence promises", for_good=False)}
    if about.baseline.limit is not None and not about.strange:
        return {}
    labels = {name: known for name, known in about.baselines.items() if not parted(name)[0]}
    return quality.untested(settings, replace(about, baselines=labels), quality.State())


def chances(about: About, state: State, descriptors: Sequence[Sequence[float]]) -> list[float]:
    """Return 1 less each reply's estimated loss: its chance of being right, or its metric's expected score. -1 where
    there is no estimate."""
    fitted = calibrated(about, state)
    if fitted is None:
        return [-1.0] * len(descriptors)
    confidences = _confidences(about.names, descriptors)
    found = np.round(calibration.predict(fitted, confidences), 4).tolist()
    return [chance if known <= 0 else -1.0 for chance, known in zip(found, confidences, strict=True)]


def calibrated(about: About, state: State) -> Calibration | None:
    """Return the calibration of confidence; None without labels or confidences, or after labels refuted it."""
    if about.reference is None or state.trust.lost or CONFIDENCE[-1] not in about.names:
        return None
    return _fitted(about.reference, tuple(about.losses))


@derived()
def _fitted(reference: Reference, losses: tuple[float, ...]) -> Calibration | None:
    """Return the calibration, which is asked for with each batch and made once for each label that comes."""
    pairs = zip(_confidences(reference.names, reference.rows), losses, strict=True)
    known = [(value, 1.0 - loss) for value, loss in pairs if loss != UNLABELLED and value <= 0]
    return calibration.fit([one for one, _ in known], [score for _, score in known])


def _tested(
    settings: MonitorSettings, about: About, reference: Reference, state: State, events: Sequence[RecentEvent]
) -> tuple[State, list[Transition]]:
    """Test estimated losses; without a limit an open alarm has nothing left to test it by."""
    moments = [(event.id, event.time_ms) for event in events]
    if about.baseline.limit is None:
        if not state.test.episode.open:
            return state, []
        return cleared(settings, about, state, ""), [EndedAlarm("", moments[-1], "untested")]
    losses = np.array([[1.0 - event.chance if event.chance >= 0 else math.nan] for event in events])
    length = scorer(reference).block
    block, means, firsts, ends = fill(state.block, length, losses.reshape(len(events), 1), moments)
    detector = _tester(settings, reference, about.baseline.limit, graded=about.baseline.graded)
    after = steps(settings.alarm_clear_events, length)
    test, transitions = detector.follow(state.test, means[:, 0].tolist(), firsts, after)
    state, found = State(test, block, state.trust), list[Transition]()
    for transition in transitions:
        end = ends[transition.step]
        known = examples.kept(about.events, events[: end + 1])
        found.append(
            EndedAlarm("", moments[end])
            if isinstance(transition, Over)
            else _alarm(about, state, detector.arl, transition, known)
        )
    return state, found


def _checked(
    settings: MonitorSettings, about: About, state: State, label: GivenLabel
) -> tuple[State, list[Transition]]:
    """Compare a label with its estimate; once the estimate is refuted, only labels can show harm."""
    if label.chance < 0:
        return state, []
    trust = calibration.check(state.trust, [1.0 - label.event.loss - label.chance])
    lost = trust.lost and not state.trust.lost
    state = replace(state, trust=trust)
    if not lost:
        return state, []
    wanted = LabelsWanted(version=about.version, time_ms=label.given_ms, reason=REFUTED)
    if state.test.episode.open:
        state = cleared(settings, about, state, "")
    return state, [EndedAlarm("", (label.event.id, label.given_ms), "untested"), wanted]


def _tester(settings: MonitorSettings, reference: Reference, limit: float, *, graded: bool) -> Risk:
    ready, name = scorer(reference), CONFIDENCE[-1]
    left = float(ready.inflation[reference.names.index(name)]) if name in reference.names else 1.0
    return Risk(limit, _arl(settings, reference), inflation=left, graded=graded)


def _arl(settings: MonitorSettings, reference: Reference) -> float:
    """Return the blocks between false alarms: the events asked for hold fewer of them."""
    return settings.arl_events / scorer(reference).block


def _confidences(names: Sequence[str], descriptors: Sequence[Sequence[float]]) -> list[float]:
    column = list(names).index(CONFIDENCE[-1])
    return [row[column] for row in descriptors]


def _alarm(about: About, state: State, threshold: float, harm: ProvenHarm, events: Sequence[RecentEvent]) -> Alarm:
    """Confidence promises worse answers than the limit accepts."""
    loss, since_ms = harm.losses / harm.count, harm.since[1]
    fitted, last = calibrated(about, state), (events[-1].id, events[-1].time_ms)
    losses, measure = _losses([event.chance for event in events]), f"estimated {wording.measure(about)}"
    before = Valued(about.members or [()] * len(about.losses), _losses(_reference_chances(about, fitted)))
    explained = explain(about.slices, events, losses, before, since_ms=since_ms, measure=measure)
    summary = (
        f"{about.version} {wording.seems_as_good(about, loss)} the answers since {clock(since_ms)}, by its own "
        f"confidence; it was {wording.was_as_good(about)} in the reference. An estimate: labels must tell"
    )
    proof = harm_evidence(threshold, about, harm) | {"estimated_accuracy": round(1.0 - loss, 4)}
    proof |= _interval(fitted, since_ms, events) | shown(explained) | label_first(events, about.labelled)
    summary += where(explained)
    return alarm(about.kind, about.version, harm.since, last, proof, summary, harm=loss)


def _losses(some: Sequence[float]) -> list[float]:
    return [1.0 - chance if chance >= 0 else 0.0 for chance in some]


def _reference_chances(about: About, fitted: Calibration | None) -> list[float]:
    """Return 1 less the estimated loss of each event of the reference; -1 where there is no estimate."""
    if fitted is None or about.reference is None:
        return [-1.0] * len(about.losses)
    confidences = _confidences(about.reference.names, about.reference.rows)
    found = calibration.predict(fitted, confidences)
    return [float(chance) if value <= 0 else -1.0 for chance, value in zip(found, confidences, strict=True)]


def _interval(fitted: Calibration | None, since_ms: int, events: Sequence[RecentEvent]) -> dict[str, Json]:
    """Return bounds of the estimate for the events since the onset."""
    some = [event.chance for event in events if event.chance >= 0 and event.time_ms >= since_ms]
    if fitted is None or not some:
        return {}
    return {"estimated_interval": [round(bound, 4) for bound in calibration.interval(fitted, some)]}
