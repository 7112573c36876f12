"""A person signs for or against a candidate: looked up in the log, and recorded in the ledger."""

from __future__ import annotations

from contextlib import closing

from serving.rollout.approvals import Opinion, signed
from serving.rollout.operations import UnknownVersion
from streams.clock import now_ms
from streams.events import DecisionRecorded, RetrainReported
from streams.kinds import RetrainStatus
from streams.log.append import Appender
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.topics import LEDGER, RESULTS

PASSED = (RetrainStatus.PROMOTE, RetrainStatus.INCONCLUSIVE)  # the latter where complaints may settle it


def sign(
    kafka: KafkaSettings, alias: str, version: str, by: str, *, approves: bool, reason: str = ""
) -> DecisionRecorded:
    """Record a person's opinion of a candidate; `by`: the id of their key. The same one given again changes nothing.
    Raise UnknownVersion where no retraining of the alias that may be rolled out made the version, ValueError where a
    refusal has no reason."""
    if not approves and not reason.strip():
        raise ValueError("reason is empty, expected why the candidate is refused: who trains the next one reads it")
    decision = signed(
        _result(kafka, alias, version), Opinion(by=by, approves=approves, time_ms=now_ms(), reason=reason)
    )
    with closing(Appender(kafka, f"homeostat/{by}")) as appender:
        appender.append(LEDGER, decision, id=decision.id, time_ms=decision.time_ms)
    return decision


def _result(kafka: KafkaSettings, alias: str, version: str) -> RetrainReported:
    """Return the newest report about the candidate."""
    reports = [record.event for record in read(kafka, RESULTS, RetrainReported) if record.event.alias == alias]
    passed = [each for each in reports if each.status in PASSED and each.candidate]
    for each in reversed(passed):
        if each.candidate == version:
            return each
    names = ", ".join(dict.fromkeys(str(each.candidate) for each in reversed(passed))) or "none"
    raise UnknownVersion(f"{version}: no candidate of {alias} that has passed the gate, expected one of: {names}")
