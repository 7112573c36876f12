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

    QUALITY = "quality"  # labels prove that more answers are wrong
    ESTIMATED_QUALITY = "estimated_quality"  # confidence promises fewer right answers
    DRIFT = "drift"  # descriptors, categories or texts look different
    LATENCY = "latency"  # more replies are slow than was promised
    ERRORS = "errors"  # more requests fail than was promised
    FAIRNESS = "fairness"  # a group is served worse than the rest
    SAFETY = "safety"  # answers carry a flag more often


class Severity(StrEnum):
    """How an alarm is to be taken."""

    INFO = "info"  # annotate only
    WARNING = "warning"  # look into it
    CRITICAL = "critical"  # harm


class RetrainStatus(StrEnum):
    """The state of a retraining."""

    CLAIMED = "claimed"  # a trainer works on it
    TRAINING = "training"  # and has begun to train
    PROMOTE = "promote"  # the gate's verdict, as the next two
    REJECT = "reject"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"  # it ended without a verdict


class DecisionKind(StrEnum):
    """The actor of a decision."""

    ALARM = "alarm"
    POLICY = "policy"
    VERDICT = "verdict"
    ROLLOUT = "rollout"
    OPERATOR = "operator"
