"""People's approval of a candidate: how many have to sign, who has, and what follows.

Each signature is an operator's decision in the ledger, so that each controller that reads it in the log's order finds
the same: the first refusal ends the candidate, and so does the end of the time; the second signature of one person
counts no more than the first.

>>> needed = NeededApproval(people=2, until_ms=100)
>>> ann, bob = (Signature(by=by, approves=True, time_ms=5) for by in ("ann", "bob"))
>>> settled(needed, [ann, ann], now_ms=6).state, settled(needed, [ann, ann, bob], now_ms=6)
('waiting', Approval(state='approved', reason='approved by ann and bob'))
>>> settled(needed, [ann], now_ms=101).reason
'approved by 1 of 2 people in time'
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from streams.events import DecisionRecorded, RetrainReported
from streams.signatures import APPROVE, FUNCTION, REFUSE, Signature, people


class NeededApproval(msgspec.Struct, frozen=True, kw_only=True):
    """How many people have to approve a candidate, and until when."""

    people: int
    until_ms: int


class Approval(NamedTuple):
    """What the signatures come to, and why."""

    state: Literal["waiting", "approved", "refused", "expired", "overtaken"]
    reason: str


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """The operator's wish (`policy.approvals`, `policy.approval_timeout_s`)."""

    people: int = 0
    timeout_s: int = 0

    def of(self, result: RetrainReported) -> NeededApproval | msgspec.UnsetType:
        """Return what a candidate needs. The time runs from its verdict, so that no restart makes it longer."""
        if self.people == 0:
            return msgspec.UNSET
        return NeededApproval(people=self.people, until_ms=result.time_ms + 1_000 * self.timeout_s)


NOBODY = ApprovalRule()  # is asked


@dataclass(slots=True)
class Signatures:
    """The signatures of the ledger by candidate, each once, in the log's order."""

    _known: dict[tuple[str, str], dict[str, Signature]] = field(default_factory=dict)

    def take(self, decision: DecisionRecorded) -> None:
        """Take note of a decision that is a signature; leave out others."""
        signs = decision.function == FUNCTION and decision.inputs.get("action") in (APPROVE, REFUSE)
        if signs and isinstance(decision.output, dict) and "signature" in decision.output:
            about = (str(decision.output["request_id"]), str(decision.output["digest"]))
            signature = msgspec.convert(decision.output["signature"], Signature)
            self._known.setdefault(about, {}).setdefault(decision.id, signature)

    def of(self, request_id: str, digest: str) -> list[Signature]:
        """Return those about a candidate."""
        return list(self._known.get((request_id, digest), {}).values())


def settled(needed: NeededApproval, signatures: Sequence[Signature], now_ms: int, newer: str = "") -> Approval:
    """Return what the signatures come to, in their order; those that came too late count for nothing. `newer`: a
    candidate that has passed the gate meanwhile, which ends the wait for this one."""
    approving: list[str] = []
    for each in _in_time(needed, signatures):
        if not each.approves:
            return Approval("refused", f"refused by {each.by}" + (f": {each.reason}" if each.reason else ""))
        approving.append(each.by)
        if len(counted := people(approving)) >= needed.people:
            return Approval("approved", f"approved by {' and '.join(counted)}")
    if newer:
        return Approval("overtaken", f"{newer} has passed the gate meanwhile")
    count = f"approved by {len(people(approving))} of {needed.people} people"
    return Approval("expired", f"{count} in time") if now_ms > needed.until_ms else Approval("waiting", count)


def _in_time(needed: NeededApproval, signatures: Iterable[Signature]) -> list[Signature]:
    return [each for each in signatures if each.time_ms <= needed.until_ms]
