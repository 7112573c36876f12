"""A version as it is kept: one flat object of JSON, in the judge's memory in the log and in recorded ledgers.

The names are those of the first release and never change; `recorded` and `restored` turn a version into this form and
back, bit for bit.

>>> restored(recorded(VersionState(version="v1", names=["chars"], seen_ms=7))).seen_ms
7
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from monitor.describe.traits import Traits
from monitor.detectors import risk
from monitor.detectors.blocks import Block
from monitor.explain.examples import LabelledEvent, RecentEvent
from monitor.explain.slices import Member
from monitor.findings import Kind
from monitor.losses import UNLABELLED, of_verdict
from monitor.reference.dependence import LabelledLosses, OpenBlock
from monitor.reference.frozen import Reference
from monitor.reference.sample import ReferenceSample
from monitor.selection.ordered_labels import OrderedLabels
from monitor.selection.sources import BEFORE_SOURCES
from monitor.signals import burn_rate, drift, estimated_quality, fairness, quality, safety
from monitor.signals.calibration import Trust
from monitor.signals.labelled import complaints, judged_quality
from monitor.signals.quality import SourceTest
from monitor.watch.bursts import Bursts
from monitor.watch.version import (
    Alarms,
    AwaitedEvent,
    Gathering,
    Label,
    LabelQueue,
    Latest,
    Past,
    RatedLosses,
    UnresolvedAlarm,
    VersionState,
)


class VersionRecord(msgspec.Struct, frozen=True):
    """The fields of a version and of its parts; what each means stands there. Records from before losses have verdicts
    instead, `labels` and `adopted` (-1 unknown, 0 wrong, 1 right), which are read as losses."""

    version: str
    names: list[str]
    seen_ms: int = 0
    bursts: Bursts = Bursts()
    rows: list[list[float]] = []
    prints: list[int] = []
    passages: list[bytes] = []
    losses: list[float] = []
    metric: str | None = None
    strange: str = ""
    strays: dict[str, int] = {}
    stray_share: float = 0.0
    rated: dict[str, RatedLosses] = {}
    sources: list[str] = []
    origins: list[int] = []
    volunteered: int = 0
    adopted_origins: list[int] = []
    turns: list[int] = []
    people: list[int] = []
    crowds: list[int] = []
    members: list[Member] = []
    traits: list[Traits] = []
    sample: ReferenceSample = ReferenceSample()
    reference: Reference | None = None
    frozen_ms: int = 0
    accepted_ms: int = 0
    adopted_losses: list[float] = []
    adopted_steps: list[int] = []
    known: LabelledLosses | None = None
    known_by: dict[str, LabelledLosses] = {}
    waiting: list[Label] = []
    held: list[Label] = []
    file_turn: int = 0
    labelled: list[int] = []
    repeats: list[int] = []
    recent: dict[int, AwaitedEvent] = {}
    slices: list[str] = []
    lately: list[RecentEvent] = []
    told: list[LabelledEvent] = []
    ratings: dict[str, list[LabelledEvent]] = {}
    asked: list[int] = []
    drift: drift.State = drift.State()
    quality: risk.State = risk.State()
    unfinished: OpenBlock = OpenBlock()
    source: str = BEFORE_SOURCES
    more: dict[str, SourceTest] = {}
    ordered: dict[str, OrderedLabels] = {}
    judged_quality: judged_quality.State = judged_quality.State()
    complaints: complaints.State = complaints.State()
    estimated: risk.State = risk.State()
    doubt: Block = Block()
    trust: Trust = Trust()
    safety: safety.State = safety.State()
    fairness: fairness.State = fairness.State()
    errors: burn_rate.State = burn_rate.State()
    latency: burn_rate.State = burn_rate.State()
    untested: list[str] = []
    raised: dict[str, UnresolvedAlarm] = {}
    evidence: dict[Kind, float] = {}
    labels: list[int] = []
    adopted: list[int] = []

    def __post_init__(self) -> None:
        if self.labels or self.adopted:
            for verdicts, losses in (("labels", "losses"), ("adopted", "adopted_losses")):
                read = [UNLABELLED if each < 0 else of_verdict(bool(each)) for each in getattr(self, verdicts)]
                force_setattr(self, losses, read)
                force_setattr(self, verdicts, [])
            if any(loss != UNLABELLED for loss in (*self.losses, *self.adopted_losses)):
                force_setattr(self, "metric", "")
            force_setattr(self, "known", None)  # it counted errors


# Parts whose fields lie flat, by their encoded names; all other fields of a version are kept as they are.
PARTS: dict[str, type[msgspec.Struct]] = {
    "gathering": Gathering,
    "past": Past,
    "queue": LabelQueue,
    "latest": Latest,
    "alarms": Alarms,
    "quality": quality.State,
    "estimated_quality": estimated_quality.State,
}
WHOLE = [name for name in VersionState.__struct_fields__ if name not in PARTS]
PATHS = {name: name for name in WHOLE} | {
    kept: f"{name}.{field}"
    for name, part in PARTS.items()
    for field, kept in zip(part.__struct_fields__, part.__struct_encode_fields__, strict=True)
}

# Asked for with each batch and each label, so the fields are taken by their places: in one call, not one by one.
_flat = attrgetter(*(PATHS[kept] for kept in VersionRecord.__struct_fields__ if kept in PATHS))
_whole = attrgetter(*WHOLE)
_parts = [(name, part, attrgetter(*part.__struct_encode_fields__)) for name, part in PARTS.items()]


def recorded(version: VersionState) -> VersionRecord:
    """Return the version as it is kept."""
    return VersionRecord(*_flat(version))


def restored(record: VersionRecord) -> VersionState:
    """Return the version as the judge works on it."""
    fields: dict[str, Any] = dict(zip(WHOLE, _whole(record), strict=True))
    for name, part, kept in _parts:
        fields[name] = part(*kept(record))
    return VersionState(**fields)
