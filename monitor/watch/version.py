"""One version under watch: its reference first, then its signals."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

import msgspec
from msgspec.structs import force_setattr, replace

from monitor.describe.fingerprint import event_print
from monitor.describe.traits import Traits
from monitor.explain.alarm import log10
from monitor.explain.examples import LabelledEvent, RecentEvent
from monitor.explain.slices import Member
from monitor.findings import Kind
from monitor.losses import UNLABELLED, of_verdict
from monitor.reference.dependence import LabelledLosses, known_of
from monitor.reference.frozen import Reference
from monitor.reference.sample import ReferenceSample
from monitor.selection.ordered_labels import LEARNED
from monitor.selection.sources import BEFORE_SOURCES, is_drawn, parted
from monitor.settings import MonitorSettings
from monitor.signals import burn_rate, drift, estimated_quality, fairness, quality, safety
from monitor.signals.interface import About, Baseline, Signal
from monitor.signals.labelled import complaints, judged_quality
from monitor.watch.bursts import Bursts

# In the order in which they take rows. A version has a field for each, of this name.
SIGNALS: Mapping[Kind, Signal] = {
    "errors": burn_rate,
    "latency": burn_rate,
    "drift": drift,
    "estimated_quality": estimated_quality,
    "judged_quality": judged_quality,
    "complaints": complaints,
    "safety": safety,
    "fairness": fairness,
    "quality": quality,
}
PROMISED: tuple[Kind, ...] = ("errors", "latency")  # to clients: watched without a reference, and never accepted away


class Label(msgspec.Struct, frozen=True):
    """How bad one event's answer was, from 0 to 1, and the name of what says so: a metric, or a person's rating."""

    version: str
    event_id: str
    event_print: int  # of a rating: its own, for a reply may have a label and ratings
    time_ms: int
    loss: float = 0.0
    metric: str = ""
    turn: int = 0  # in which the log took it
    origin: str = BEFORE_SOURCES  # who chose the reply, and a rating's measure (`monitor.selection.sources`)
    weight: float = 1.0  # how many times the loss counts, where the reply was drawn (`monitor.selection.weights`)
    complaint: bool = False  # by one who volunteered it
    judges: bool = True  # has a loss, and was not volunteered
    correct: bool | None = None  # in memories from before losses alone, and read as one

    def __post_init__(self) -> None:
        if self.correct is not None:
            force_setattr(self, "loss", of_verdict(self.correct))
            force_setattr(self, "correct", None)

    @property
    def reply(self) -> int:
        """Return the hash of the reply's id."""
        return event_print(self.event_id) if parted(self.origin)[0] else self.event_print


class AwaitedEvent(msgspec.Struct, frozen=True, array_like=True):
    """A served event whose label may still come; `chance` is 1 less the loss that was estimated, -1 where none was."""

    time_ms: int
    chance: float
    slices: Member = ()
    person: int = 0  # who asked (`monitor.describe.people`)


class UnresolvedAlarm(msgspec.Struct, frozen=True):
    """An alarm that was raised and not cleared."""

    time_ms: int
    onset_ms: int
    labels_before: int = 0  # labels tested before the onset; of a judge model's alarm, before it was raised
    key: str = ""  # the alarm's
    kind: Kind = "quality"
    about: str = ""
    harm: float = 0.0  # as the alarm has it


class Gathering(msgspec.Struct, frozen=True):
    """The reference while it grows."""

    rows: list[list[float]] = []
    prints: list[int] = []
    passages: list[bytes] = []  # of the prompts (`monitor.describe.passages`)
    sample: ReferenceSample = ReferenceSample()


class RatedLosses(msgspec.Struct, frozen=True):
    """A source's ratings that say what is usual; `steps`: equal for those that are one step."""

    losses: list[float] = []
    steps: list[int] = []


class Past(msgspec.Struct, frozen=True):
    """Who asked for the reference's events, what they were, and what labels say of them."""

    losses: list[float] = []  # of the reference's events, in their order; `UNLABELLED` where none is known
    metric: str | None = None  # what made these losses: only those of the same can be compared; None before the first
    strange: str = ""  # another metric, which makes most losses now
    strays: dict[str, int] = {}  # labels of other metrics, which were passed over, by metric
    stray_share: float = 0.0  # of the last labels (`monitor.watch.strays`)
    sources: list[str] = []  # of these labels, by name
    origins: list[int] = []  # the source of each, by its place in `sources`
    volunteered: int = 0  # labels that judge nothing, so far
    turns: list[int] = []  # in which these labels came
    people: list[int] = []  # who asked
    crowds: list[int] = []  # who is no person but stands for many (`monitor.describe.people.crowds`)
    members: list[Member] = []  # their slices
    traits: list[Traits] = []  # and their categories
    adopted_losses: list[float] = []  # of later labels, which had to serve as baseline
    adopted_steps: list[int] = []  # equal for those that are one step
    adopted_origins: list[int] = []  # the source of each
    known: LabelledLosses | None = None  # what these and the adopted ones say
    rated: dict[str, RatedLosses] = {}  # ratings that are the baseline, of each source by its name with the measure
    known_by: dict[str, LabelledLosses] = {}  # the same of each source, where there are several, and of its ratings


class LabelQueue(msgspec.Struct, frozen=True):
    """Labels that are not tested yet, and the events that need no further label."""

    waiting: list[Label] = []  # labels that came before there was a baseline, or with a file that is not over
    held: list[Label] = []  # labels of another metric than most, while that is not settled
    file_turn: int = 0  # the turn of the last label of a file; 0 where none is coming
    labelled: list[int] = []  # events whose label was tested, newest last
    asked: list[int] = []  # events chosen for a label, newest last: no fair sample
    repeats: list[int] = []  # events that only repeated their sender's message


class Latest(msgspec.Struct, frozen=True):
    """The last events and labels: what alarms show, and what labels may still come for."""

    recent: dict[int, AwaitedEvent] = {}
    slices: list[str] = []  # by name, in the order in which they came
    events: list[RecentEvent] = msgspec.field(name="lately", default_factory=list)
    tested: list[LabelledEvent] = msgspec.field(name="told", default_factory=list)
    ratings: dict[str, list[LabelledEvent]] = {}  # by measure


class Alarms(msgspec.Struct, frozen=True):
    """The open alarms, what cannot be tested, and the evidence of each signal."""

    untested: list[str] = []  # of which it was found that the reference leaves no room to test it
    raised: dict[str, UnresolvedAlarm] = {}  # by what they are about: `monitor.watch.open_alarms.place`
    evidence: dict[Kind, float] = {}


class VersionState(msgspec.Struct, frozen=True, kw_only=True):
    """All that is remembered of one version, bounded. `monitor.watch.record` has it as JSON."""

    version: str
    names: list[str]
    seen_ms: int = 0
    frozen_ms: int = 0
    accepted_ms: int = 0  # up to which replies came before an operator accepted what is normal now
    bursts: Bursts = Bursts()
    gathering: Gathering = Gathering()
    reference: Reference | None = None
    past: Past = Past()
    queue: LabelQueue = LabelQueue()
    latest: Latest = Latest()
    alarms: Alarms = Alarms()
    errors: burn_rate.State = burn_rate.State()
    latency: burn_rate.State = burn_rate.State()
    drift: drift.State = drift.State()
    estimated_quality: estimated_quality.State = estimated_quality.State()
    judged_quality: judged_quality.State = judged_quality.State()
    complaints: complaints.State = complaints.State()
    safety: safety.State = safety.State()
    fairness: fairness.State = fairness.State()
    quality: quality.State = quality.State()


def about(settings: MonitorSettings, version: VersionState, kind: Kind) -> About:
    """Return what the signal of this kind may know of the version."""
    return About(kind, *_facts(settings, version))


def each_about(settings: MonitorSettings, version: VersionState) -> Iterator[tuple[Kind, Signal, About]]:
    """Yield each signal, and what it may know of the version as it is now."""
    facts = _facts(settings, version)
    for kind, signal in SIGNALS.items():
        yield kind, signal, About(kind, *facts)


def _facts(settings: MonitorSettings, version: VersionState) -> tuple[Any, ...]:
    """Return the fields of `About` after the kind; worked out once for all signals, because they are asked often."""
    past, latest = version.past, version.latest
    return (
        version.version,
        version.names,
        latest.slices,
        version.reference,
        past.people,
        past.members,
        past.traits,
        past.losses,
        past.metric or "",
        past.strange,
        baseline(settings, version) if version.reference is not None else Baseline(),
        baselines(settings, version) if version.reference is not None and (past.sources or past.rated) else {},
        past.volunteered,
        latest.events,
        latest.tested,
        latest.ratings,
        version.queue.labelled,
    )


def started(settings: MonitorSettings, version: VersionState) -> VersionState:
    """Return the version with the signals started that need the reference, which is complete now."""
    signals = [each for each in each_about(settings, version) if each[0] not in PROMISED]
    return replace(version, **{kind: signal.start(settings, known) for kind, signal, known in signals})


def with_evidence(settings: MonitorSettings, version: VersionState) -> VersionState:
    """Return the version with the evidence of each signal brought up to date: log10 of statistic over threshold."""
    if version.reference is not None and version.past.known is None:
        past = version.past
        version = replace(version, past=replace(past, known=measured(past), known_by=by_source(past)))
    found = {
        kind: log10(signal.evidence(settings, known, getattr(version, kind)))
        for kind, signal, known in each_about(settings, version)
    }
    return replace(version, alarms=replace(version.alarms, evidence=found))


def baseline(settings: MonitorSettings, version: VersionState) -> Baseline:
    """Return what the reference's labels say, and the mean loss that is still accepted."""
    return quality.baseline(settings, version.past.known or measured(version.past))


def baselines(settings: MonitorSettings, version: VersionState) -> dict[str, Baseline]:
    """Return the same for each source of labels alone, and for its ratings."""
    past = version.past
    known = (past.known_by or by_source(past)) if past.rated or _apart(past) else {}
    rated = {name: quality.baseline(settings, known[name], fewest_ratings(settings)) for name in past.rated}
    names = past.sources or [BEFORE_SOURCES]
    if not _apart(past):
        return {name: baseline(settings, version) for name in names} | rated
    return {name: quality.baseline(settings, known[name], drawn=is_drawn(name)) for name in names} | rated


def fewest_ratings(settings: MonitorSettings) -> int:
    """Return without how many ratings of a source it is not known what is usual: as many as labels in the order of
    their replies are learned from."""
    return max(settings.min_reference_labels, LEARNED)


def by_source(past: Past) -> dict[str, LabelledLosses]:
    """Return what the labels of each source say, where there are several, or weighed ones; and its ratings."""
    known = {name: _measured(past, {k}) for k, name in enumerate(past.sources if _apart(past) else [])}
    return known | {name: known_of(each.losses, each.steps) for name, each in past.rated.items()}


def _apart(past: Past) -> bool:
    return len(past.sources) > 1 or any(map(is_drawn, past.sources))


def measured(past: Past) -> LabelledLosses:
    """Return what the labels of the reference say, and the adopted ones, in the order of their replies. Weighed ones
    are for their own source alone."""
    return _measured(past, {k for k, name in enumerate(past.sources or [BEFORE_SOURCES]) if not is_drawn(name)})


def _measured(past: Past, sources: Container[int]) -> LabelledLosses:
    """Return what the labels of these sources say; `sources`: by their places."""
    origins = past.origins or [0] * len(past.losses)
    places = [i for i, loss in enumerate(past.losses) if loss != UNLABELLED and origins[i] in sources]
    people, turns = past.people or [0] * len(past.losses), past.turns or [0] * len(past.losses)
    steps = [(people[i] or -1 - i, turns[i]) for i in places]
    adopted = past.adopted_steps or range(len(past.adopted_losses))
    later = [k for k, each in enumerate(past.adopted_origins or [0] * len(past.adopted_losses)) if each in sources]
    losses = [*(past.losses[i] for i in places), *(past.adopted_losses[k] for k in later)]
    return known_of(losses, [*steps, *((adopted[k], -1) for k in later)])
