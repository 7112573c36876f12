"""What people did is counted for the retraining that it was for."""

from __future__ import annotations

from typing import Any

from deploy.operator.registry.effort import efforts
from retrain.registry.approvals import RegistryApproval, decision
from retrain.registry.schedule import BY
from streams.events import DecisionRecorded, RetrainReported, RetrainRequested
from streams.kinds import DecisionKind, RetrainStatus


def request(id: str, time_ms: int) -> RetrainRequested:
    return RetrainRequested(
        id=id, alias="support", champion="support-0123456789ab", time_ms=time_ms, alarm_id="", since_ms=0, reason="why"
    )


def act(id: str, time_ms: int, kind: DecisionKind = DecisionKind.OPERATOR, **inputs: Any) -> DecisionRecorded:
    return DecisionRecorded(
        id=id, alias="support", time_ms=time_ms, kind=kind, function="operator", inputs=inputs, output=None
    )


def test_labels_count_before_and_acts_after_each_once() -> None:
    approval = RegistryApproval(alias="support", version="v", digest="d", by="ann")
    result = RetrainReported(
        request_id="r1", alias="support", status=RetrainStatus.PROMOTE, time_ms=120, by="t", candidate="v", digest="d"
    )
    ledger = [
        act("early", 5, by="cli"),  # before any retraining
        act("asked", 100, by="cli", action="retrain"),
        act("asked", 100, by="cli", action="retrain"),  # a repetition
        decision(approval, result, 150),
        decision(approval, result, 170),
        act("rolled back", 250, by="ann"),
        act("scheduled", 260, by=BY, action="retrain"),
        act("judged", 270, DecisionKind.VERDICT),
    ]
    found = efforts([request("r2", 200), request("r1", 100)], ledger, {"support": [10, 20, 100, 150, 300]})
    assert [(each.request_id, each.labels, each.approvals, each.decisions) for each in found] == [
        ("r1", 3, 1, 1),
        ("r2", 1, 0, 1),
    ]
