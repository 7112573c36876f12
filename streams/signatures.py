"""People's signatures of a candidate, as the ledger has them; pure.

A person is a key with the scope `approve`, or a name in MLflow where `tracking.approvals` lets one count."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

import msgspec

from streams import codec
from streams.events import DecisionRecorded, RetrainReported
from streams.kinds import DecisionKind, RetrainStatus

APPROVE, REFUSE = "approve", "refuse"  # the actions of an operator's decision
FUNCTION = "operator"
MLFLOW = "mlflow/"  # before a name that MLflow has; no key's id has a stroke
PASSED = (RetrainStatus.PROMOTE, RetrainStatus.INCONCLUSIVE)  # the latter where complaints may settle it


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One person's signature for or against a candidate."""

    by: str  # the key's id, or a name in MLflow after `MLFLOW`
    approves: bool
    time_ms: int
    reason: str = ""


def one_name(person: str) -> str:
    """Return a person's name as signatures have it: its capitals, and how its letters are composed, make no second
    person of one.

    >>> one_name("Ann@Example.com"), one_name("Rene\\u0301") == one_name("ren\\u00e9")
    ('ann@example.com', True)
    """
    return unicodedata.normalize("NFKC", person).casefold()


def signed(result: RetrainReported, signature: Signature) -> DecisionRecorded:
    """Return a person's signature about a candidate as the ledger has it: the same one given again is the same
    decision."""
    action = APPROVE if signature.approves else REFUSE
    inputs: dict[str, Any] = {"action": action, "by": signature.by, "version": result.candidate}
    output = {"request_id": result.request_id, "digest": result.digest, "signature": codec.plain(signature)}
    reason = f": {signature.reason}" if signature.reason else ""
    return DecisionRecorded(
        id=codec.deterministic_id("signature", result.request_id, result.digest or "", signature.by, action),
        alias=result.alias,
        time_ms=signature.time_ms,
        kind=DecisionKind.OPERATOR,
        function=FUNCTION,
        inputs=inputs,
        output=output,
        cause=result.request_id,
        summary=f"{signature.by}: {action} {result.candidate}{reason}",
    )


def passed(reports: Iterable[RetrainReported], alias: str) -> dict[str, RetrainReported]:
    """Return the newest report about each candidate of the alias that may be signed for, the newest candidate last."""
    found: dict[str, RetrainReported] = {}
    for each in reports:
        if each.alias == alias and each.status in PASSED and each.candidate:
            found.pop(each.candidate, None)
            found[each.candidate] = each
    return found


def people(approving: Iterable[str]) -> list[str]:
    """Return whose approvals count, each person once. Who may write to MLflow may write any name there: all names in it
    are one person together, and none where the key of one of these has signed.

    >>> people(["ann", "mlflow/Ann", "mlflow/bob", "mlflow/carl"])
    ['ann', 'mlflow/bob']
    """
    given = list(dict.fromkeys(approving))
    keys = {by.casefold() for by in given if not by.startswith(MLFLOW)}
    others = [by for by in given if by.startswith(MLFLOW) and by.removeprefix(MLFLOW).casefold() not in keys]
    return [by for by in given if not by.startswith(MLFLOW) or by in others[:1]]
