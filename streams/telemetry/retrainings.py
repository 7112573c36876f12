"""A retraining as a span, from its begin on a trainer to its report, and each state of its rollout as a span of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from streams.events import RetrainReported
from streams.kinds import RetrainStatus
from streams.telemetry.spans import ERROR, Value
from streams.telemetry.tracer import Tracer

FAILED = ("aborted", "rolled_back")


class RolloutStage(Protocol):
    """The part of a rollout that is shown."""

    @property
    def alias(self) -> str: ...
    @property
    def candidate(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def state(self) -> StrEnum: ...
    @property
    def reason(self) -> str: ...
    @property
    def begun_ms(self) -> int: ...
    @property
    def since_ms(self) -> int: ...


def retrained(tracer: Tracer, report: RetrainReported, began_ms: int) -> None:
    """Keep the span of a retraining that has ended with this report."""
    found: dict[str, Value] = {
        "homeostat.alias": report.alias,
        "homeostat.request": report.request_id,
        "homeostat.outcome": report.status.value,
        "homeostat.reason": report.reason or "",
    }
    if report.candidate:
        found["homeostat.version"] = report.candidate
    if report.mlflow_run:
        found["homeostat.mlflow_run"] = report.mlflow_run
    if report.status is RetrainStatus.FAILED:
        found[ERROR] = report.status.value
    tracer.work(f"retrain {report.alias}", report.request_id, began_ms, report.time_ms, found)


def moved(tracer: Tracer, before: RolloutStage, after: RolloutStage, now_ms: int) -> None:
    """Keep the span of the state that a step of a rollout has left."""
    found: dict[str, Value] = {
        "homeostat.alias": before.alias,
        "homeostat.version": before.candidate,
        "homeostat.request": before.request_id,
        "homeostat.outcome": after.state.value,
        "homeostat.reason": after.reason,
    }
    if after.state.value in FAILED:
        found[ERROR] = after.state.value
    began_ms = before.begun_ms or before.since_ms
    tracer.work(f"rollout {before.state.value}", before.request_id, began_ms, now_ms, found, child=True)
