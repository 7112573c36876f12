"""What every signal promises: one question about one version, with a state of its own.

A signal is a module with six names: `State`, and the functions of `Signal`. It takes its own state, what it may know
of the version (`About`), and what comes in (`Rows`); rows that are none of its business change nothing. It returns
transitions: alarms, each once until it is over, and the ends of alarms. How rows are cut into calls changes no
transition, and a state goes through JSON bit for bit. The table of all signals is `monitor.watch.version.SIGNALS`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from monitor.describe.traits import Traits
from monitor.detectors.episode import EndedAlarm
from monitor.detectors.interface import Floats, Moment
from monitor.explain.examples import LabelledEvent, RecentEvent
from monitor.explain.slices import Member
from monitor.findings import Alarm, Kind, LabelsWanted
from monitor.reference.frozen import Reference
from monitor.rows import ScoreRows
from monitor.selection.sources import BEFORE_SOURCES
from monitor.settings import MonitorSettings

Transition = Alarm | EndedAlarm | LabelsWanted


class Baseline(msgspec.Struct, frozen=True):
    """Labels of the reference."""

    labelled: int = 0
    loss: float = 0.0  # the sum of theirs
    limit: float | None = None  # of the mean loss; None with too few labels, and where it leaves no room for harm
    block: int = 1  # steps that are judged as one, because they depend on each other
    inflation: float = 1.0  # of sums of them, by what dependence that leaves
    enough: bool = False  # labels to say anything
    graded: bool = False  # whether losses lie between 0 and 1
    hopeless: bool = False  # whether more labels like these would leave no room either


class About(msgspec.Struct, frozen=True):
    """What a signal may know of the version. `people`, `members`, `traits`, `losses`: who asked for the reference's
    events, their slices, their categories, and their losses as labels have them (`monitor.losses.UNLABELLED`: none
    has). `baselines`: of each source of labels, where there are several. `volunteered`: labels that judge nothing, so
    far. `metric`: what made the losses; `strange`: another one, which made later ones. `events`, `tested`: the last
    ones before these rows, and the last labels with these; `ratings`: the last ratings, by measure. `labelled`: events
    that have a label. `rating`: the measure, where `tested` and `baseline` are of ratings."""

    kind: Kind  # of the signal's alarms
    version: str
    names: Sequence[str] = ()  # of the descriptors
    slices: Sequence[str] = ()
    reference: Reference | None = None
    people: Sequence[int] = ()
    members: Sequence[Member] = ()
    traits: Sequence[Traits] = ()
    losses: Sequence[float] = ()
    metric: str = ""
    strange: str = ""
    baseline: Baseline = Baseline()
    baselines: Mapping[str, Baseline] = {}
    volunteered: int = 0
    events: Sequence[RecentEvent] = ()
    tested: Sequence[LabelledEvent] = ()
    ratings: Mapping[str, Sequence[LabelledEvent]] = {}
    labelled: Sequence[int] = ()
    rating: str = ""


@dataclass(frozen=True, slots=True)
class MissingTest:
    """Why something is not tested. `for_good`: no label that may still come changes it."""

    reason: str
    for_good: bool = True


@dataclass(frozen=True, slots=True)
class ServedRequests:
    """All requests of the version that it answered as champion, failed ones too."""

    rows: ScoreRows


@dataclass(frozen=True, slots=True)
class Replies:
    """Healthy replies after the reference, without repetitions: columns of equal length. `values`, `scores`: their
    descriptors and the normal scores of these. `ends_turn`: no more rows of their turn follow."""

    rows: ScoreRows
    events: Sequence[RecentEvent]
    prints: Sequence[int]
    values: Floats
    scores: Floats
    ends_turn: bool = True

    @property
    def moments(self) -> list[Moment]:
        """Return the id and time of each."""
        return [(event.id, event.time_ms) for event in self.events]


@dataclass(frozen=True, slots=True)
class GivenLabel:
    """One label. `chance`: 1 less its loss, as it was estimated; -1 where it was not. `weight`: how many times a drawn
    one counts."""

    event: LabelledEvent
    chance: float
    given_ms: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class LabelStep:
    """Labels that are one step of a test: of one person in one turn. `chosen`: an alarm asked for them, so that they
    are no fair sample. `source`: who chose their replies (`monitor.selection.sources.Origin.name`)."""

    labels: Sequence[GivenLabel]
    chosen: bool = False
    source: str = BEFORE_SOURCES


@dataclass(frozen=True, slots=True)
class RatingStep:
    """Ratings that are one step of a test; `source`: who chose their replies, with the measure
    (`monitor.selection.sources.rated`)."""

    labels: Sequence[GivenLabel]
    source: str


@dataclass(frozen=True, slots=True)
class ModelScores:
    """Losses that a judge model gave, with no label behind them. `source`: its name
    (`monitor.selection.sources.judge_of`)."""

    source: str
    given: Sequence[GivenLabel]


@dataclass(frozen=True, slots=True)
class Complained:
    """Complaints: the hash of each reply, and when it was complained about."""

    given: Mapping[int, int]
    time_ms: int


Rows = ServedRequests | Replies | LabelStep | RatingStep | ModelScores | Complained


class Signal(Protocol):
    """The functions of a signal; `state` is always its own `State`."""

    def start(self, settings: MonitorSettings, about: About) -> Any:
        """Return the state for a complete reference."""

    def update(self, settings: MonitorSettings, about: About, state: Any, rows: Rows) -> tuple[Any, list[Transition]]:
        """Take rows in order. Return the state and the transitions."""

    def evidence(self, settings: MonitorSettings, about: About, state: Any) -> float:
        """Return the statistic over its threshold: an alarm is raised where it reaches 1."""

    def cleared(self, settings: MonitorSettings, about: About, state: Any, what: str) -> Any:
        """Return the state with the alarm about `what` taken back and its detector started over."""

    def untested(self, settings: MonitorSettings, about: About, state: Any) -> Mapping[str, MissingTest]:
        """Return what a complete reference leaves no room to test, by what an alarm would be about, and why."""
