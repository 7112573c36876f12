"""One version under watch: its reference first, then its detectors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from monitor.describe.descriptors import CONFIDENCE
from monitor.describe.traits import Traits
from monitor.detectors import risk
from monitor.detectors.blocks import Block
from monitor.detectors.risk import Risk
from monitor.explain.examples import Seen, Told
from monitor.explain.slices import Member
from monitor.findings import Kind
from monitor.reference.dependence import Known, Open, known_of
from monitor.reference.derived import derived
from monitor.reference.frozen import Reference, scorer
from monitor.reference.sample import Sample
from monitor.settings import MonitorSettings
from monitor.signals import burn_rate, calibration, drift, fairness, safety
from monitor.watch.bursts import Bursts

UNLABELLED, WRONG, RIGHT = -1, 0, 1
LEAST_EVIDENCE = -6.0


class Label(msgspec.Struct, frozen=True):
    """Somebody's word on one event."""

    version: str
    event_id: str
    event_print: int
    correct: bool
    time_ms: int
    turn: int = 0  # in which the log took it


class Recent(msgspec.Struct, frozen=True, array_like=True):
    """A served event whose label may still come; `chance` of being right is -1 where nothing was estimated."""

    time_ms: int
    chance: float
    slices: Member = ()
    person: int = 0  # who asked (`monitor.describe.people`)


class Raised(msgspec.Struct, frozen=True):
    """An alarm that was raised and not cleared."""

    time_ms: int
    onset_ms: int
    labels_before: int = 0  # labels tested before the onset
    key: str = ""  # the alarm's
    kind: Kind = "quality"
    about: str = ""
    harm: float = 0.0  # as the alarm said


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """Everything remembered of one version; JSON through msgspec, bounded."""

    version: str
    names: list[str]
    seen_ms: int = 0
    bursts: Bursts = Bursts()
    rows: list[list[float]] = []  # the reference while it grows
    prints: list[int] = []
    labels: list[int] = []  # of the reference's events, in their order
    turns: list[int] = []  # in which these labels came
    people: list[int] = []  # who asked for the reference's events
    crowds: list[int] = []  # who is no person but stands for many (`monitor.describe.people.crowds`)
    members: list[Member] = []  # their slices
    traits: list[Traits] = []  # and their categories
    sample: Sample = Sample()
    reference: Reference | None = None
    frozen_ms: int = 0
    accepted_ms: int = 0  # up to which replies came before an operator accepted what is normal now
    adopted: list[int] = []  # later labels that had to serve as baseline
    adopted_steps: list[int] = []  # equal for those that are one step
    known: Known | None = None  # what the labels of the reference say, and the adopted ones
    waiting: list[Label] = []  # labels that came before there was a baseline, or with a file that is not over
    file_turn: int = 0  # in which a file of labels told of the reference last; 0 where none is coming
    labelled: list[int] = []  # events whose label was tested, newest last
    repeats: list[int] = []  # events that only repeated their sender's message
    recent: dict[int, Recent] = {}
    slices: list[str] = []  # by name, in the order in which they came
    lately: list[Seen] = []
    told: list[Told] = []
    asked: list[int] = []  # events chosen for a label, newest last: no fair sample
    drift: drift.State = drift.State()
    quality: risk.State = risk.State()
    unfinished: Open = Open()  # tested labels since the last full block
    estimated: risk.State = risk.State()
    doubt: Block = Block()  # estimated losses of the unfinished block
    trust: calibration.Trust = calibration.Trust()
    safety: safety.State = safety.State()
    fairness: fairness.State = fairness.State()
    errors: burn_rate.State = burn_rate.State()
    latency: burn_rate.State = burn_rate.State()
    untested: list[str] = []  # of which it was said that the reference leaves no room to test it
    raised: dict[str, Raised] = {}  # by what they are about: `place`
    evidence: dict[Kind, float] = {}


@dataclass(frozen=True, slots=True)
class Baseline:
    """Labels of the reference."""

    labelled: int
    errors: int
    limit: float | None  # of the error rate; None while too few are labelled, and where it leaves no room for harm
    block: int = 1  # steps that are judged as one, because they depend on each other
    inflation: float = 1.0  # of sums of them, by what dependence that leaves
    enough: bool = True  # labels to say anything


def baseline(settings: MonitorSettings, watch: Watch) -> Baseline:
    """What the reference's labels say, and the error rate that is still accepted."""
    known = watch.known or measured(watch)
    labelled, errors = known.labelled, known.errors
    if labelled < settings.min_reference_labels:
        return Baseline(labelled, errors, None, enough=False)
    bound = risk.upper_bound(math.ceil(known.rate * known.worth), known.worth, settings.baseline_confidence)
    limit = bound + settings.tolerance
    return Baseline(labelled, errors, limit if risk.testable(limit) else None, known.block, known.inflation)


def measured(watch: Watch) -> Known:
    """What the labels of the reference say, and the adopted ones, in the order of their replies."""
    places = [i for i, label in enumerate(watch.labels) if label != UNLABELLED]
    people, turns = watch.people or [0] * len(watch.labels), watch.turns or [0] * len(watch.labels)
    steps = [(people[i] or -1 - i, turns[i]) for i in places]
    adopted = watch.adopted_steps or range(len(watch.adopted))
    losses = [float(label == WRONG) for label in (*(watch.labels[i] for i in places), *watch.adopted)]
    return known_of(losses, [*steps, *((step, -1) for step in adopted)])


def tester(settings: MonitorSettings, known: Baseline) -> Risk:
    """Tests labels, in blocks of as many steps as the reference asks for."""
    assert known.limit is not None
    return Risk(known.limit, settings.label_arl / known.block, inflation=known.inflation)


def calibrated(watch: Watch) -> calibration.Calibration | None:
    """Confidence turned into a chance of being right; None without labels or confidences, or after it failed."""
    if watch.reference is None or watch.trust.lost or CONFIDENCE[-1] not in watch.names:
        return None
    return _fitted(watch.reference, tuple(watch.labels))


@derived()
def _fitted(reference: Reference, labels: tuple[int, ...]) -> calibration.Calibration | None:
    """Asked with each batch, and answered once for each label that comes."""
    column = reference.names.index(CONFIDENCE[-1])
    known = [
        (row[column], label == RIGHT)
        for row, label in zip(reference.rows, labels, strict=True)
        if label != UNLABELLED and row[column] <= 0
    ]
    return calibration.fit([one for one, _ in known], [right for _, right in known])


def with_evidence(settings: MonitorSettings, watch: Watch) -> Watch:
    """The watch with each detector's log10 of statistic over threshold brought up to date."""
    if watch.reference is not None and watch.known is None:
        watch = msgspec.structs.replace(watch, known=measured(watch))
    block = watch.known.block if watch.known else 1
    ratios: dict[Kind, float] = {
        "quality": risk.statistic(watch.quality) * block / settings.label_arl,
        "estimated_quality": _feared(settings, watch),
        "drift": _moved(settings, watch),
        "errors": burn_rate.burning(error_budget(settings), watch.errors),
        "latency": burn_rate.burning(latency_budget(settings), watch.latency),
        "fairness": fairness.evidence(settings.fairness, watch.fairness),
        "safety": safety.evidence(settings.safety, watch.safety),
    }
    return msgspec.structs.replace(watch, evidence={kind: log10(ratio) for kind, ratio in ratios.items()})


def doubter(settings: MonitorSettings, reference: Reference, limit: float) -> Risk:
    """Tests estimated losses, in the blocks in which events are judged: neighbours that depend on each other are about
    as sure as each other."""
    ready = scorer(reference)
    left = float(ready.inflation[reference.names.index(CONFIDENCE[-1])]) if CONFIDENCE[-1] in reference.names else 1.0
    return Risk(limit, _doubt_arl(settings, reference), inflation=left)


def _doubt_arl(settings: MonitorSettings, reference: Reference) -> float:
    """Steps are blocks: the events asked for between false alarms hold fewer of them."""
    return settings.arl_events / scorer(reference).block


def _feared(settings: MonitorSettings, watch: Watch) -> float:
    if watch.reference is None:
        return 0.0
    return risk.statistic(watch.estimated) / _doubt_arl(settings, watch.reference)


def _moved(settings: MonitorSettings, watch: Watch) -> float:
    if watch.reference is None:
        return 0.0
    return drift.detectors(watch.reference, settings.arl_events).evidence(watch.drift)


def log10(ratio: float) -> float:
    """Of a statistic over its threshold, not below `LEAST_EVIDENCE`, to 4 decimals."""
    return round(max(math.log10(ratio), LEAST_EVIDENCE), 4) if ratio > 0 else LEAST_EVIDENCE


def error_budget(settings: MonitorSettings) -> burn_rate.Budget:
    """For requests that the server failed."""
    return burn_rate.Budget(settings.slo.error_budget, settings.slo.burn_windows, settings.slo.min_bad)


def latency_budget(settings: MonitorSettings) -> burn_rate.Budget:
    """For answers slower than promised."""
    return burn_rate.Budget(settings.slo.latency_budget, settings.slo.burn_windows, settings.slo.min_bad)
