"""The recorded decisions of an alias, from a ledger."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from deploy.backtest.outcome import EndedRetraining, PolicyOutcome, RecordedAnswer, read, with_decision
from deploy.backtest.policies import PolicySections
from deploy.operator.replay import entries
from monitor.operator_answer import OperatorAnswer
from monitor.policy import PolicyObservation
from streams.events import DecisionRecorded

PLACES = ("ledger.jsonl", "../ledger.jsonl")  # next to the lake: where an export, or a demo, leaves it
SECTIONS = {"judge.update": "monitor", "policy.decide": "policy"}  # the settings that a function's entries name


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """The decisions on an alias. `settings`: the last ones that they name, where this release knows them all."""

    outcome: PolicyOutcome = PolicyOutcome()
    ended: list[EndedRetraining] = []
    answers: list[RecordedAnswer] = []
    settings: PolicySections | None = None

    @property
    def minutes(self) -> float | None:
        """The median duration of a retraining, from its request to its end; None where no retraining has both."""
        asked = {each.request_id: each.time_ms for each in self.outcome.retrainings}
        spans = [(each.time_ms - asked[each.request_id]) / 60_000 for each in self.ended if each.request_id in asked]
        return median(spans) if spans else None


def find(lake: Path) -> Path | None:
    """Return the ledger that lies next to a lake, if there is one."""
    return next((path for name in PLACES if (path := lake.parent / name).is_file()), None)


def load(path: Path, alias: str, since_ms: int, until_ms: int | None) -> Recorded:
    """Return the alias's decisions in this time (of the log). Raise LedgerError naming the line."""
    mine = (entry for _, entry in entries(path) if entry.alias == alias)
    return recorded(e for e in mine if since_ms <= e.time_ms and (until_ms is None or e.time_ms < until_ms))


def recorded(decisions: Iterable[DecisionRecorded]) -> Recorded:
    """Sum up decisions, each once. Raise LedgerError where another release wrote them."""
    outcome, seen = PolicyOutcome(), set[str]()
    ended: dict[str, EndedRetraining] = {}
    answers: list[RecordedAnswer] = []
    settings: dict[str, Any] = {}
    for entry in decisions:
        if entry.id in seen:
            continue
        seen.add(entry.id)
        outcome = with_decision(outcome, entry)
        if entry.function in SECTIONS:
            settings[SECTIONS[entry.function]] = entry.inputs["settings"]
        if entry.function == "policy.decide" and (found := _ended(entry)):
            ended.setdefault(found.request_id, found)
        if entry.function == "judge.answer":
            answer = read(entry, entry.inputs["said"], OperatorAnswer)
            answers.append(RecordedAnswer(id=entry.id, time_ms=entry.time_ms, answer=answer))
    return Recorded(outcome=outcome, ended=list(ended.values()), answers=answers, settings=_sections(settings))


def _ended(entry: DecisionRecorded) -> EndedRetraining | None:
    result = read(entry, entry.inputs["observation"], PolicyObservation).result
    return (
        EndedRetraining(request_id=result.request_id, time_ms=entry.time_ms, status=result.status) if result else None
    )


def _sections(settings: dict[str, Any]) -> PolicySections | None:
    if len(settings) < len(SECTIONS):
        return None
    try:
        return msgspec.json.decode(msgspec.json.encode(settings), type=PolicySections)
    except msgspec.ValidationError:
        return None
