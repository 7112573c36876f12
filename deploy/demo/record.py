"""The record of a demo's run, from which its report is made."""

from __future__ import annotations

from typing import Literal

import msgspec

from deploy.demo.clients import RequestOutcome
from retrain.claims import JUDGED
from streams.events import AlarmRaised, DecisionRecorded, RetrainReported, RetrainRequested, RouteWritten, WindowClosed
from streams.kinds import AlarmKind
from streams.routes import effective

Expected = Literal["retrain", "nothing"]


class EventCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of captured replies, and what became of them."""

    published: int = 0  # records in the log
    consumed: int = 0  # events in the lake, each once
    duplicates: int = 0  # records dropped as repetitions: a shipper that was killed sends its last ones again
    dead_lettered: int = 0

    @property
    def captured(self) -> int:
        """Return how many replies are in the log, each once."""
        return self.published - self.duplicates

    @property
    def handled(self) -> int:
        """Records that were consumed, dropped or refused; `published` once nothing is on its way."""
        return self.consumed + self.duplicates + self.dead_lettered


class FeedbackCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Labels given back by the clients."""

    sent: int = 0
    accepted: int = 0
    failed: int = 0


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that it ran on. Zero: unknown."""

    cores: int = 0
    memory_gb: float = 0.0
    peak_memory_gb: float = 0.0  # of everything the demo started, together
    system: str = ""


class DemoRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the report needs; in log order where it comes from the log.

    `marks` may name (milliseconds since the epoch): started, ready, onset, alarm, requested, verdict, canary, promoted,
    finished. What is missing is taken from the log where it can be."""

    model: str
    data: str
    expected: Expected
    outcomes: list[RequestOutcome]
    metric: str = "exact_match"  # of which an outcome's loss is
    ledger: list[DecisionRecorded] = []
    windows: list[WindowClosed] = []
    alarms: list[AlarmRaised] = []
    requests: list[RetrainRequested] = []
    results: list[RetrainReported] = []
    routes: list[RouteWritten] = []
    marks: dict[str, int] = {}
    events: EventCounts = EventCounts()
    feedback: FeedbackCounts = FeedbackCounts()
    feedback_share: float = 0.5
    champion_rows: int = 0  # that trained the first champion
    machine: Machine = Machine()
    links: dict[str, str] = {}  # words -> address or path: MLflow, Grafana, ...
    problem: str = ""  # why the demo had to stop early


def champions(run: DemoRecord) -> list[tuple[int, str]]:
    """List the champions, each with the time since when; a version that comes back is named again."""
    found: list[tuple[int, str]] = []
    for route in effective(run.routes):
        if not found or found[-1][1] != route.champion:
            found.append((route.time_ms, route.champion))
    return found


def verdicts(run: DemoRecord) -> list[RetrainReported]:
    """List the gate's verdicts, each request's once."""
    found: dict[str, RetrainReported] = {}
    for result in run.results:
        if result.status in JUDGED:
            found.setdefault(result.request_id, result)
    return list(found.values())


def marks(run: DemoRecord) -> dict[str, int]:
    """Return all marks that are known; those that the run names win."""
    given = dict(run.marks)
    after = [outcome.sent_ms for outcome in run.outcomes if outcome.phase == "after"]
    served = [outcome.answered_ms for outcome in run.outcomes]
    changes, judged = champions(run), verdicts(run)
    quality = [alarm.time_ms for alarm in run.alarms if alarm.kind is AlarmKind.QUALITY]
    canaries = [route.time_ms for route in effective(run.routes) if route.canary]
    known = {
        "started": min((o.sent_ms for o in run.outcomes), default=None),
        "onset": min(after, default=None),
        "alarm": quality[0] if quality else None,
        "requested": run.requests[0].time_ms if run.requests else None,
        "verdict": judged[-1].time_ms if judged else None,
        "canary": canaries[-1] if canaries else None,
        "promoted": changes[-1][0] if len(changes) > 1 else None,
        "finished": max(served, default=None),
    }
    return {name: at for name, at in known.items() if at is not None} | given
