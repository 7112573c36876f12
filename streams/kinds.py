"""The closed sets of names in events; their values are on the wire."""

from __future__ import annotations

from enum import StrEnum


class Arm(StrEnum):
    """Which part of a rollout answered a request."""

    CHAMPION = "champion"  # answers all requests but the canary's
    CANARY = "canary"  # a candidate that answers a share of them
    SHADOW = "shadow"  # asked too; its answers reach no client


class AlarmKind(StrEnum):
    """The question whose test has fired."""

    QUALITY = "quality"  # labels prove that answers are worse
    ESTIMATED_QUALITY = "estimated_quality"  # confidence promises worse answers
    JUDGED_QUALITY = "judged_quality"  # a judge model scores answers lower
    COMPLAINTS = "complaints"  # clients complain more often
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
    REJECT = "reject"  # a check has failed for sure
    INCONCLUSIVE = "inconclusive"  # some check cannot tell yet
    FAILED = "failed"  # it ended without a verdict


class ProofOutcome(StrEnum):
    """An engine's answer to an adapter's proof of effect."""

    GIVEN = "given"  # it computes with the adapter
    FAILED = "failed"  # it computes with something else: not attested
    NONE = "none"  # the adapter has no proof: the replicas' fingerprints decide


class DecisionKind(StrEnum):
    """The actor of a decision."""

    ALARM = "alarm"  # the judge: alarms raised and cleared
    POLICY = "policy"  # whether an alarm leads to a retraining
    VERDICT = "verdict"  # the gate, about a candidate
    ROLLOUT = "rollout"  # a step of a candidate's rollout
    OPERATOR = "operator"  # a human: a route changed, or an alarm answered
