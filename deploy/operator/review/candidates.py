"""Candidates that wait for people's approval, by the log: who has signed, and until when there is time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from serving.rollout.approvals import ApprovalRule, Signatures, settled
from streams.events import DecisionRecorded, RetrainReported
from streams.kinds import RetrainStatus


class WaitingCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate. `reason`: of the gate; `standing`: how many have approved."""

    alias: str
    version: str
    until_ms: int
    standing: str
    signed: list[str]
    reason: str


def waiting(
    reports: Iterable[RetrainReported],
    decisions: Sequence[DecisionRecorded],
    rule: ApprovalRule,
    now_ms: int,
    *,
    trials: bool = False,
) -> list[WaitingCandidate]:
    """Return the newest candidate of each alias that waits. `decisions`: signatures and rollouts' steps of the ledger;
    `trials`: candidates may go on trial, so those that lack labels alone wait too."""
    signatures, begun = Signatures(), {each.cause for each in decisions if each.function == "rollout.step"}
    for each in decisions:
        signatures.take(each)
    newest: dict[str, RetrainReported] = {}
    for report in reports:
        tried = trials and report.status is RetrainStatus.INCONCLUSIVE and report.short_of_labels
        if report.candidate and (report.status is RetrainStatus.PROMOTE or tried):
            newest[report.alias] = report
    left = (each for alias, each in sorted(newest.items()) if each.request_id not in begun)
    return [found for each in left if (found := _waiting(each, signatures, rule, now_ms))]


def _waiting(
    report: RetrainReported, signatures: Signatures, rule: ApprovalRule, now_ms: int
) -> WaitingCandidate | None:
    needed, signed = rule.of(report), signatures.of(report.request_id, report.digest or "")
    if not needed or (found := settled(needed, signed, now_ms)).state != "waiting":
        return None
    return WaitingCandidate(
        alias=report.alias,
        version=report.candidate or "",
        until_ms=needed.until_ms,
        standing=found.reason,
        signed=list(dict.fromkeys(each.by for each in signed)),
        reason=report.reason,
    )
