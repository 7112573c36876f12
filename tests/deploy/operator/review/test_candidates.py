"""Who has to sign sees what waits."""

from __future__ import annotations

from dataclasses import replace as dataclass_replace

from msgspec.structs import replace

from deploy.operator.review.candidates import waiting
from serving.rollout.approvals import ApprovalRule
from streams import ledger
from streams.events import DecisionRecorded, RetrainReported
from streams.identity import version_name
from streams.kinds import DecisionKind, RetrainStatus
from streams.signatures import Signature, signed

RULE = ApprovalRule(people=2, timeout_s=100)
DIGEST = "b" * 64
PASSED = RetrainReported(
    request_id="r",
    alias="support",
    status=RetrainStatus.PROMOTE,
    time_ms=1_000,
    by="t",
    candidate=version_name("support", DIGEST),
    digest=DIGEST,
    reason="better",
)
ANN = signed(PASSED, Signature(by="ann", approves=True, time_ms=2_000))
BEGUN = ledger.entry(
    DecisionKind.ROLLOUT, "rollout.step", 2, alias="support", place="x", time_ms=3, inputs={}, output={}, cause="r"
)


def versions(reports: list[RetrainReported], decisions: list[DecisionRecorded], now_ms: int = 3_000) -> list[str]:
    return [each.version for each in waiting(reports, decisions, RULE, now_ms)]


def test_a_candidate_is_listed_until_it_is_settled() -> None:
    (found,) = waiting([PASSED], [ANN, ANN], RULE, 3_000)
    assert (found.version, found.standing, found.signed) == (PASSED.candidate, "approved by 1 of 2 people", ["ann"])
    assert (found.until_ms, found.reason) == (101_000, "better")
    bob = signed(PASSED, Signature(by="bob", approves=True, time_ms=2_500))
    assert versions([PASSED], [ANN, bob]) == []
    assert versions([PASSED], [ANN], now_ms=101_001) == []
    assert versions([PASSED], [BEGUN]) == [], "its rollout has begun, or is over"
    assert waiting([PASSED], [], dataclass_replace(RULE, people=0), 3_000) == []


def test_the_newest_of_an_alias_waits_and_what_lacks_labels_where_trials_are_allowed() -> None:
    other = replace(PASSED, request_id="q", digest="c" * 64, candidate=version_name("support", "c" * 64))
    assert versions([PASSED, other], [ANN]) == [other.candidate]
    short = replace(other, status=RetrainStatus.INCONCLUSIVE, short_of_labels=True)
    assert versions([PASSED, short], []) == [PASSED.candidate]
    assert [each.version for each in waiting([PASSED, short], [], RULE, 3_000, trials=True)] == [short.candidate]
    assert versions([replace(PASSED, status=RetrainStatus.REJECT)], []) == []
