"""Approvals that people give in MLflow: an alias that no mirror has set; pure.

MLflow keeps no record of who set an alias: who approves writes their name into the model version's tag `approved_by`
(`mlflow.user` will do). It is as sure as the server's own access control, so it counts only where `tracking.approvals`
says so, and never without a name."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from streams.events import DecisionRecorded, RetrainReported
from streams.signatures import MLFLOW, Signature, signed

APPROVED = "approved"  # the alias by which a person approves a version
WHO = ("approved_by", "mlflow.user")  # tags of the model version that name the person
NAME_CHARS = 100  # of a person's name


class RegistryApproval(msgspec.Struct, frozen=True, kw_only=True):
    """A person's approval of a version."""

    alias: str
    version: str
    digest: str
    by: str  # as MLflow has the name


def moved(noted: Mapping[str, list[str]], found: Mapping[str, str], role: str) -> str:
    """Return the model version's number that a person has given the role; empty where what is found is what the mirror
    noted that it sets or had found.

    >>> moved({"champion": ["3"]}, {"champion": "4"}, "champion")
    '4'
    >>> moved({"champion": ["3", "4"]}, {"champion": "4"}, "champion")
    ''
    """
    at = found.get(role, "")
    return at if at and role in noted and at not in noted[role] else ""


def approval(tags: Mapping[str, str], alias: str) -> RegistryApproval | str:
    """Return the approval of the model version with these tags, or why it is none."""
    by = next((" ".join(tags[name].split())[:NAME_CHARS] for name in WHO if tags.get(name, "").strip()), "")
    if not tags.get("digest") or not tags.get("version"):
        return f"the version {APPROVED!r} has is none of ours; `homeostat adopt` takes an adapter made elsewhere"
    if not by:
        return f"{tags['version']} is {APPROVED} by an unknown person; set the tag {WHO[0]} of the model version"
    return RegistryApproval(alias=alias, version=tags["version"], digest=tags["digest"], by=by)


def decision(given: RegistryApproval, result: RetrainReported, now_ms: int) -> DecisionRecorded:
    """Return the ledger's entry, as if the person had signed for the candidate of `result` with a key; the same
    approval always has the same id, so that it counts once."""
    return signed(result, Signature(by=f"{MLFLOW}{given.by}", approves=True, time_ms=now_ms))
