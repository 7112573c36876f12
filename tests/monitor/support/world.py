"""A small simulated alias: events with Gaussian descriptors, and labels."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.describe.descriptors import NAMES
from monitor.findings import Alarm, Finding
from monitor.judge import AliasState, Batch, start, update
from monitor.losses import WRONG, of_verdict
from monitor.rows import ScoreRows
from monitor.settings import MonitorSettings

VERSION = "support-0123456789ab"


@dataclass
class World:
    """Makes batches with rising offsets and event times, and puts them before the judge."""

    settings: MonitorSettings
    seed: int = 0
    state: AliasState = field(default_factory=lambda: start("support"))
    findings: list[Finding] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    sent: int = 0
    labelled: int = 0
    now_ms: int = 1_000_000
    step_ms: int = 500
    dated: bool = False  # ids begin with the time at which the reply was asked for, as a gateway's

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def take(self, batch: Batch) -> list[Finding]:
        self.batches.append(batch)
        self.state, found = update(self.settings, self.state, batch)
        self.findings += found
        return found

    def serve(
        self,
        count: int,
        *,
        shift: float = 0.0,
        version: str = VERSION,
        status: int = 200,
        latency_ms: float = 100.0,
        values: NDArray[np.float64] | None = None,
        arm: str = "champion",
        fingerprints: list[int] | None = None,
        tags: list[dict[str, str]] | None = None,
        answers: list[str] | None = None,
        sums: list[bytes] | None = None,
        passages: list[bytes] | None = None,
        clients: list[str] | None = None,
        cohorts: list[list[str]] | None = None,
    ) -> list[str]:
        """Serves `count` replies whose first descriptor is shifted; returns their event ids."""
        if values is None:
            values = self.rng.standard_normal((count, len(NAMES)))
            values[:, 0] += shift
            values[:, -2:] = -np.abs(values[:, -2:])
        ids = [self.id(version, self.sent + i, self.now_ms + self.step_ms * i) for i in range(count)]
        rows = ScoreRows(
            offsets=list(range(self.sent, self.sent + count)),
            ids=ids,
            times_ms=[self.now_ms + self.step_ms * (i + 1) for i in range(count)],
            versions=[version] * count,
            arms=[arm] * count,
            clients=clients or ["client"] * count,
            statuses=[status] * count,
            ttft_ms=[latency_ms] * count,
            tpot_ms=[0.0] * count,
            latency_ms=[latency_ms] * count,
            descriptors=values.round(4).tolist(),
            fingerprints=fingerprints or [],
            tags=tags or [],
            answers=answers or [],
            sums=sums or [],
            passages=passages or [],
            cohorts=cohorts or [],
        )
        self.sent += count
        self.now_ms += self.step_ms * count
        self.take(_batch("inference", rows, self.now_ms))
        return ids

    def label(
        self,
        ids: list[str],
        accuracy: float | list[bool] | list[float],
        *,
        version: str = VERSION,
        arm: str = "champion",
        ends_turn: bool = True,
        metric: str = "exact_match",
        origin: str = "",
        weights: list[float] | None = None,
    ) -> list[Finding]:
        """Labels these events in one turn, right with probability `accuracy` or as given: verdicts, or losses.
        `origin`: who chose them; none in records from before there were sources. `weights`: of drawn ones."""
        given = accuracy if isinstance(accuracy, list) else (self.rng.random(len(ids)) < accuracy).tolist()
        return self._feed(
            ids,
            ends_turn,
            versions=[version] * len(ids),
            arms=[arm] * len(ids),
            losses=[of_verdict(each) if isinstance(each, bool) else each for each in given],
            metrics=[metric] * len(ids),
            origins=[origin] * len(ids) if origin else [],
            weights=weights or [],
            complaints=[bool(each) if isinstance(each, float) else not each for each in given] if origin else [],
        )

    def rate(
        self,
        ids: list[str],
        losses: list[float],
        *,
        measure: str = "thumb",
        origin: str = "random/app",
        ends_turn: bool = True,
    ) -> list[Finding]:
        """Rates these replies in one turn: a thumb down or a score of 0 is a loss of 1."""
        return self._feed(
            ids,
            ends_turn,
            origins=[origin] * len(ids),
            complaints=[loss >= WRONG for loss in losses],
            ratings=[{measure: loss} for loss in losses],
        )

    def correct(self, ids: list[str], origin: str) -> list[Finding]:
        """Corrects these replies in one turn; whether they were wrong is not known yet."""
        return self._feed(ids, origins=[origin] * len(ids), complaints=[True] * len(ids))

    def _feed(self, ids: list[str], ends_turn: bool = True, **columns: list[Any]) -> list[Finding]:
        """Put feedback about these replies before the judge; without other columns it is of no known loss."""
        count = len(ids)
        unless: dict[str, list[Any]] = {
            "versions": [VERSION] * count,
            "arms": ["champion"] * count,
            "losses": [None] * count,
            "metrics": [""] * count,
        }
        rows = ScoreRows(
            offsets=list(range(self.labelled, self.labelled + count)),
            ids=ids,
            times_ms=[self.now_ms] * count,
            clients=["client"] * count,
            **(unless | columns),
        )
        self.labelled += count
        batch = _batch("feedback", rows, self.now_ms)
        return self.take(batch if ends_turn else msgspec.structs.replace(batch, ends_turn=False))

    def id(self, version: str, number: int, made_ms: int) -> str:
        if not self.dated:
            return f"{version}-{number}"
        return str(uuid.UUID(int=(made_ms << 80) | (7 << 76) | (2 << 62) | number))

    def alarms(self, kind: str | None = None) -> list[Alarm]:
        return [each for each in self.findings if isinstance(each, Alarm) and kind in (None, each.kind)]


def people(count: int) -> list[str]:
    """Clients of one key, each another person."""
    return [f"app/{k}" for k in range(count)]


def make(seed: int = 0, **changes: int | float) -> World:
    """A world with a reference of 300 events, unless changed."""
    return World(MonitorSettings(**({"reference_events": 300} | changes)), seed)  # type: ignore[arg-type]


def _batch(source: str, rows: ScoreRows, now_ms: int) -> Batch:
    return Batch(
        source="inference" if source == "inference" else "feedback",
        partition=0,
        first_offset=rows.offsets[0] if rows.offsets else 0,
        last_offset=rows.offsets[-1] if rows.offsets else -1,
        descriptor_names=list(NAMES),
        rows=rows,
        time_ms=now_ms,
    )
