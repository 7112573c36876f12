"""How a version stands, in more detail than the product asks: for tests."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.findings import Kind
from monitor.judge import AliasState
from monitor.reference.frozen import scorer
from monitor.settings import MonitorSettings
from monitor.signals.interface import Baseline
from monitor.watch.record import VersionRecord, restored
from monitor.watch.version import UnresolvedAlarm, baseline


@dataclass(frozen=True)
class Standing:
    champion: bool
    reference_events: int
    watching: bool  # its reference is complete
    reference_labels: int
    tested_labels: int
    raised: dict[str, UnresolvedAlarm]
    evidence: dict[Kind, float]
    block: int
    estimates_trusted: bool
    unwatched: list[str]


def standings(state: AliasState) -> dict[str, Standing]:
    return {version: _standing(state, record) for version, record in state.watches.items()}


def known_baseline(settings: MonitorSettings, state: AliasState, version: str) -> Baseline:
    """Return what the labels of a version's reference say."""
    record = state.watches.get(version)
    return baseline(settings, restored(record)) if record else Baseline()


def _standing(state: AliasState, record: VersionRecord) -> Standing:
    ready = record.reference
    return Standing(
        champion=record.version == state.champion,
        reference_events=len(ready.rows if ready else record.rows),
        watching=ready is not None,
        reference_labels=sum(loss >= 0 for loss in record.losses) + len(record.adopted_losses),
        tested_labels=record.quality.count,
        raised=record.raised,
        evidence=record.evidence,
        block=scorer(ready).block if ready else 1,
        estimates_trusted=not record.trust.lost,
        unwatched=ready.swinging if ready else [],
    )
