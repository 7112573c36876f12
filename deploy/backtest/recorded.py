"""What really happened, as the ledger has it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from deploy.backtest.outcome import Ended, Outcome, Said, read, told
from deploy.backtest.policies import Sections
from deploy.operator.replay import entries
from monitor.operator_answer import OperatorAnswer
from monitor.policy import PolicyObservation
from streams.events import DecisionRecorded

PLACES = ("ledger.jsonl", "../ledger.jsonl")  # beside the lake: where an export, or a demo, leaves it


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An alias's decisions. `settings`: the last ones that they name, where this release knows them all."""

    outcome: Outcome = Outcome()
    ended: list[Ended] = []
    said: list[Said] = []
    settings: Sections | None = None

    @property
    def minutes(self) -> float | None:
        """How long a retraining took, from being asked for to its end; None where none did both."""
        asked = {each.request_id: each.time_ms for each in self.outcome.retrainings}
        spans = [(each.time_ms - asked[each.request_id]) / 60_000 for each in self.ended if each.request_id in asked]
        return median(spans) if spans else None


def find(lake: Path) -> Path | None:
    """The ledger that lies beside a lake."""
    return next((path for name in PLACES if (path := lake.parent / name).is_file()), None)


def load(path: Path, alias: str, since_ms: int, until_ms: int | None) -> Recorded:
    """What a ledger file says of the alias in this time (of the log). Raises LedgerError naming the line."""
    mine = (entry for _, entry in entries(path) if entry.alias == alias)
    return recorded(e for e in mine if since_ms <= e.time_ms and (until_ms is None or e.time_ms < until_ms))


def recorded(decisions: Iterable[DecisionRecorded]) -> Recorded:
    """What decisions say, each once. Raises LedgerError where another release wrote them."""
    outcome, seen = Outcome(), set[str]()
    ended: dict[str, Ended] = {}
    said: list[Said] = []
    settings: dict[str, Any] = {}
    for entry in decisions:
        if entry.id in seen:
            continue
        seen.add(entry.id)
        outcome = told(outcome, entry)
        if entry.function in NAMES:
            settings[NAMES[entry.function]] = entry.inputs["settings"]
        if entry.function == "policy.decide" and (found := _ended(entry)):
            ended.setdefault(found.request_id, found)
        if entry.function == "judge.answer":
            answer = read(entry, entry.inputs["said"], OperatorAnswer)
            said.append(Said(id=entry.id, time_ms=entry.time_ms, answer=answer))
    return Recorded(outcome=outcome, ended=list(ended.values()), said=said, settings=_sections(settings))


NAMES = {"judge.update": "monitor", "policy.decide": "policy"}


def _ended(entry: DecisionRecorded) -> Ended | None:
    result = read(entry, entry.inputs["observation"], PolicyObservation).result
    return Ended(request_id=result.request_id, time_ms=entry.time_ms, status=result.status) if result else None


def _sections(settings: dict[str, Any]) -> Sections | None:
    if len(settings) < len(NAMES):
        return None
    try:
        return msgspec.json.decode(msgspec.json.encode(settings), type=Sections)
    except msgspec.ValidationError:
        return None
