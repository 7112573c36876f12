"""What is known of a source whose labels are judged in the order of the replies, and what is handed to it
(`monitor.selection.ordered`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from monitor.detectors import mixture
from monitor.detectors.episode import Over
from monitor.detectors.interface import Moment
from monitor.detectors.mixture import Reached
from monitor.selection.cohort import Cohort
from monitor.selection.delays import Delays
from monitor.selection.neighbours import UNKNOWN, LateEstimates

LEARNED = 100  # labels that say what is usual


class AwaitedReply(NamedTuple):
    """A reply of the version. `step`: equal for those that are one step; `estimate`: of its loss, by confidence;
    `mine`: whether its label is awaited, or it is a neighbour of such a reply; `judge`: the name of the judge model
    that is asked about it."""

    print: int
    moment: Moment
    step: int
    at_ms: int
    estimate: float = UNKNOWN
    mine: bool = True
    judge: str = ""


class Arrived(NamedTuple):
    """A label, and when it was given."""

    loss: float
    given_ms: int


@dataclass(frozen=True, slots=True)
class OrderedRules:
    """How such a source is judged. `arl`: labels between false alarms, at least. `tolerance`, `confidence`: of the
    limit. `least`: labels to learn from. `wait_ms`: the age at which a reply is judged, at most. `complete`: the source
    is declared to label nearly all. `audit`: its replies are a random part of their neighbours."""

    arl: float
    tolerance: float = 0.03
    confidence: float = 0.9
    least: int = LEARNED
    wait_ms: int = 7 * 86_400_000
    clear_after: int = 200
    complete: bool = False
    audit: bool = False


class OrderedLabels(msgspec.Struct, frozen=True):
    """What is known of the source, and its test. `learned`: of each step while it is learned, its labels, the sum of
    their losses, its mean loss if the missing ones were wrong, and the mean of the estimates of its replies."""

    cohort: Cohort = Cohort()
    delays: Delays = Delays()
    began_ms: int = 0
    age_ms: int = 0  # at which replies are judged, once it is learned
    neighbours: list[tuple[int, Moment, int, float, bool]] = []  # of the group that is not full
    early: dict[int, Arrived] = {}  # labels of these
    estimates: dict[int, float] = {}  # by confidence, of the replies that wait, while it is learned
    judge: str = ""  # the name of the judge model that estimates; empty: confidence does
    late: LateEstimates = LateEstimates()  # the judge's
    learned: list[tuple[int, float, float, float]] = []
    learned_labels: int = 0  # from which the limit was made
    usual: float = 0.0  # mean loss of the labels that it was learned from
    highest: float = 0.0  # mean loss if the missing ones were all wrong
    limit: float | None = None
    graded: bool = False
    block: int = 1  # steps that are judged as one
    inflation: float = 1.0
    per_step: float = 1.0  # labels
    control: tuple[float, float] = (0.0, 1.0)
    open: list[tuple[list[float], float, Moment]] = []  # steps of the block that is not full
    test: mixture.State = mixture.State()
    labels: int = 0  # tested
    withdrawn: bool = False  # a complete source that is none now


class OrderedChange(NamedTuple):
    """A change of the test, and the last reply that it rests on."""

    change: Reached | Over
    last: Moment
