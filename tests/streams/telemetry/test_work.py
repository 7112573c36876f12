"""Retrainings and rollouts as spans: those of one request are one trace, whichever processes made them."""

from __future__ import annotations

from msgspec.structs import replace

from serving.rollout.state import Rollout, RolloutState
from streams.events import RetrainReported
from streams.kinds import RetrainStatus
from streams.telemetry.retrainings import moved, retrained
from streams.telemetry.settings import TraceSettings
from streams.telemetry.tracer import Tracer, tracer_of
from tests.support.collector import collecting


def tracer(url: str, role: str) -> Tracer:
    made = tracer_of(TraceSettings(endpoint=url), role, "here")
    assert made is not None
    return made


def test_a_retraining_and_its_rollout_are_one_trace() -> None:
    canary = Rollout(
        alias="support",
        request_id="r1",
        candidate="support-b",
        digest="b" * 64,
        champion="support-a",
        since_ms=8_000,
        begun_ms=8_000,
        state=RolloutState.CANARY,
    )
    ended = replace(canary, state=RolloutState.ABORTED, reason="worse", done=True)
    report = RetrainReported(
        request_id="r1", alias="support", status=RetrainStatus.PROMOTE, time_ms=7_000, by="x", candidate="support-b"
    )
    with collecting() as collector:
        trainer, controller = tracer(collector.url, "trainer"), tracer(collector.url, "controller")
        retrained(trainer, report, 2_000)
        moved(controller, canary, ended, 9_500)
        trainer.close()
        controller.close()
        found = sorted(collector.until(2), key=lambda span: span.name)
    first, second = found
    assert (first.name, first.parent_id, first.ms, first.failed) == ("retrain support", "", 5_000, False)
    assert (second.name, second.parent_id, second.ms, second.failed) == ("rollout canary", first.span_id, 1_500, True)
    assert first.trace_id == second.trace_id
    assert first.attributes["homeostat.outcome"] == "promote"
    assert second.attributes["homeostat.version"] == "support-b"
