"""What the judge may find; who acts on it is not its business."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

Json = Any  # a JSON value
Kind = Literal[
    "quality",
    "estimated_quality",
    "judged_quality",
    "complaints",
    "drift",
    "latency",
    "errors",
    "fairness",
    "safety",
]
Severity = Literal["info", "warning", "critical"]
# why an alarm is over: nothing speaks for it any more, its version serves no longer, nothing is left to test it by, an
# operator cleared it, or an operator accepted that this is normal
Cause = Literal["quiet", "retired", "untested", "cleared", "accepted"]

SEVERITIES: dict[Kind, Severity] = {
    "quality": "critical",
    "estimated_quality": "warning",
    "judged_quality": "warning",
    "complaints": "warning",
    "drift": "info",
    "latency": "warning",
    "errors": "critical",
    "fairness": "warning",
    "safety": "critical",
}

# labels would confirm or refute them
ASKS_LABELS: tuple[Kind, ...] = ("drift", "estimated_quality", "judged_quality", "complaints")


class Alarm(msgspec.Struct, frozen=True, kw_only=True, tag="alarm"):
    """A test has fired. The same version, kind and last event, about the same, is the same alarm."""

    kind: Kind
    severity: Severity
    version: str
    time_ms: int  # event time of the last event in the evidence
    first_event: str
    last_event: str
    onset_ms: int  # best estimate of when it began, event time
    evidence: dict[str, Json]  # statistic, threshold, and what a reader needs to judge them
    summary: str
    about: str = ""  # which of several that the same event may complete: a flag, a group
    harm: float = 0.0  # share of bad replies since the onset, or how much worse off a group is; 0 where none is known

    @property
    def key(self) -> str:
        """Name the alarm: deterministic, for ids."""
        return f"{self.version}/{self.kind}/{self.last_event}" + (f"/{self.about}" if self.about else "")


class AlarmEnd(msgspec.Struct, frozen=True, kw_only=True, tag="alarm_cleared"):
    """An alarm is over; its detector starts from nothing, and may raise another."""

    kind: Kind
    version: str
    about: str
    alarm: str  # the alarm's key
    raised_ms: int  # event time, as the alarm has it
    onset_ms: int
    time_ms: int  # event time of the last event that it took
    last_event: str  # none where no event ended it
    cause: Cause
    by: str  # the operator; none otherwise
    summary: str


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """How a group compares with the rest: `mean` is its loss less theirs."""

    key: str  # the tag: tenant, language or group
    value: str  # the tag's, which makes the group
    measure: str  # quality, refusals or slow
    pairs: int  # of an outcome of the group with one of the rest from the same time
    mean: float  # over the pairs, from -1 to 1; above 0 the group is served worse
    low: float  # of the interval for the mean, which holds whenever it is looked at (`monitor.fairness.alpha`)
    high: float  # its other end
    raised: bool  # whether its alarm is open


class Window(msgspec.Struct, frozen=True, kw_only=True, tag="window"):
    """A span of event time is over, for one version. Labels count in the span in which they were given."""

    version: str
    start_ms: int
    end_ms: int
    requests: int
    errors: int
    labelled: int
    loss: float  # the sum of the labels'
    estimated_accuracy: float | None  # from confidence; an estimate
    estimated_low: float | None
    estimated_high: float | None
    latency_p50_ms: float
    latency_p95_ms: float
    evidence: dict[str, float]  # kind -> log10 of its statistic over its threshold (0 or more has fired)
    gaps: list[Gap] = []  # of groups to the rest, since the version is watched


class ReferenceFrozen(msgspec.Struct, frozen=True, kw_only=True, tag="reference_frozen"):
    """A version's reference is complete; its detectors start."""

    version: str
    time_ms: int
    events: int
    digest: str
    block: int  # events averaged into one score, because neighbours depend on each other
    labelled: int
    loss: float  # the sum of the labels'
    limit: float | None  # mean loss above which harm is proven; None with too few labels, or where it leaves no room
    unwatched: list[str] = []  # categories, texts: they swing with day or week, and no drift of them is looked for


class LabelsWanted(msgspec.Struct, frozen=True, kw_only=True, tag="labels_wanted"):
    """Without more labels it stays unknown whether this version does harm."""

    version: str
    time_ms: int
    reason: str


class NotTested(msgspec.Struct, frozen=True, kw_only=True, tag="not_tested"):
    """The reference leaves no room to test this of the version: no alarm will report it. Found once for each."""

    version: str
    time_ms: int
    kind: Kind
    about: str
    reason: str


Finding = Alarm | AlarmEnd | Window | ReferenceFrozen | LabelsWanted | NotTested


def clock(time_ms: int) -> str:
    """Return the time of day in UTC, for people.

    >>> clock(3_600_000)
    '01:00:00 UTC'
    """
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%H:%M:%S UTC")
