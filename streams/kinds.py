"""The closed sets of names in events; their values are on the wire."""

from __future__ import annotations

from enum import StrEnum


class Arm(StrEnum):
    """Which part of a rollout answered a request."""

    CHAMPION = "champion"
    CANARY = "canary"
    SHADOW = "shadow"


class AlarmKind(StrEnum):
    """The question whose test has fired."""

    QUALITY = "quality"
    ESTIMATED_QUALITY = "estimated_quality"
    DRIFT = "drift"
    LATENCY = "latency"
    ERRORS = "errors"
    FAIRNESS = "fairness"
    SAFETY = "safety"


class Severity(StrEnum):
    """How an alarm is to be taken."""

    INFO = "info"  # annotate only
    WARNING = "warning"
    CRITICAL = "critical"  # harm


class RetrainStatus(StrEnum):
    """The state of a retraining."""

    CLAIMED = "claimed"
    TRAINING = "training"
    PROMOTE = "promote"
    REJECT = "reject"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"


class DecisionKind(StrEnum):
    """The actor of a decision."""

    ALARM = "alarm"
    POLICY = "policy"
    VERDICT = "verdict"
    ROLLOUT = "rollout"
    OPERATOR = "operator"
