"""The model card: what a version was trained on, how good it is and for whom, and what is not known. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from retrain.card.findings import Findings
from retrain.data.manifest import Manifest
from retrain.data.parts import DatasetPart
from retrain.evaluation.checks import Check, Status
from retrain.evaluation.gate import GateInput, GateVerdict, asked_rows
from streams.events import Json

LEARNED = ("train", "rehearsal")  # parts that a version learns from
JUDGED = ("validation", "regression")  # and those that it is judged on


class CardData(msgspec.Struct, frozen=True, kw_only=True):
    """The dataset in numbers."""

    digest: str
    since_ms: int  # fresh rows are from here on
    learned: int = 0  # rows that the version learned from
    judged: int = 0  # rows kept apart, for judging it
    quarantined: int = 0  # rows whose labels are not believed
    selections: dict[str, int] = {}  # who chose the replies for their labels -> rows
    reviewed: int = 0  # rows labelled by one who may overrule clients
    own_answers: int = 0  # rows whose label is the model's own answer, confirmed
    clients: int = 0  # of the part with most
    labels: dict[str, int] = {}  # rows learned from by label; none where answers are free text
    groups: dict[str, int] = {}  # rows learned from by "tag=value"
    dropped: dict[str, int] = {}  # why -> rows that were left out
    consent: dict[str, list[str]] = {}  # tag -> its values that allow a row to be used; none: not asked for
    private: list[str] = []  # kinds of private data for which surrogates stand


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """All that the card says, in numbers and names; no text of a client's is in it."""

    version: str
    digest: str  # of the adapter's bytes
    alias: str
    base_model: str
    champion: str  # that it was compared with
    asked_ms: int  # when the retraining was asked for, milliseconds since the epoch
    reason: str  # for the retraining
    run: str = ""  # of MLflow; empty where it took none
    metric: str = ""  # by which answers are scored
    data: CardData
    recipe: dict[str, Json] = {}  # all knobs of the training
    training: dict[str, float] = {}  # its figures
    notes: list[str] = []  # of the training
    status: Status
    verdict: str  # the gate's reason
    checks: list[Check] = []
    rows: int = 0  # that both versions were asked
    rests_on: dict[str, int] = {}  # who chose the labels that the verdict rests on -> rows
    left_out: dict[str, int] = {}  # why -> rows that were not compared
    findings: Findings = Findings()
    limits: list[str] = []  # sentences


def data(listed: Manifest, consent: Mapping[str, tuple[str, ...]], private: tuple[str, ...]) -> CardData:
    """Return the dataset in numbers."""
    learned = [listed.parts[name] for name in LEARNED if name in listed.parts]
    quarantine = listed.parts.get("quarantine")
    return CardData(
        digest=listed.digest,
        since_ms=listed.since_ms,
        learned=sum(part.rows for part in learned),
        judged=sum(listed.parts[name].rows for name in JUDGED if name in listed.parts),
        quarantined=quarantine.rows if quarantine else 0,
        selections=_sums(learned, "selections"),
        reviewed=sum(part.reviewed for part in learned),
        own_answers=sum(part.own_answers for part in learned),
        clients=max((part.clients for part in learned), default=0),
        labels=_sums(learned, "labels"),
        groups=_sums(learned, "groups"),
        dropped=dict(sorted(listed.dropped.items())),
        consent={tag: list(values) for tag, values in consent.items()},
        private=list(private),
    )


def limits(gate: GateInput, verdict: GateVerdict, findings: Findings, of: CardData) -> list[str]:
    """Return what the figures do not say, a sentence each."""
    found = [f"{check.name} is undecided on {check.rows} rows" for check in verdict.checks if check.passed is None]
    if gate.left_out:
        gone = sum(gate.left_out.values())
        found.append(f"{gone} of {gone + asked_rows(gate)} rows could not be compared")
    if not gate.rests_on:
        found.append("no label of those that judge it was chosen without regard to the answer")
    if not gate.safety:
        found.append("it was asked no safety prompts: retrain.safety_file names none")
    if not findings.fairness.swaps:
        found.append("no request was asked again as another group's: its terms are not known to matter or not")
    if not of.consent:
        found.append("no tag was asked for that says whether a row may be used (retrain.consent)")
    found.append("figures are of this alias's traffic while its labels came, and of no other")
    return found


def _sums(parts: list[DatasetPart], name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        for key, count in getattr(part, name).items():
            found[key] = found.get(key, 0) + count
    return dict(sorted(found.items()))
