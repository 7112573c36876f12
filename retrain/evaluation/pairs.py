"""Pairs of scores, row by row, as the gate's input: by part, by group, by unit."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from monitor.losses import DIGITS
from retrain.data.example import Example
from retrain.evaluation.checks import REGRESSION, Scores
from retrain.evaluation.evaluate import EngineAnswer
from retrain.evaluation.gate import GateInput, asked_rows
from retrain.evaluation.missing import MissingPairs


class AskedRow(NamedTuple):
    """A row with both sides' answers and their scores."""

    row: Example
    candidate: EngineAnswer
    champion: EngineAnswer
    scores: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredRows:
    """Rows that both sides answered, with their scores, and the count of the others by reason."""

    rows: list[Example]
    pairs: Scores
    cut: tuple[int, int]  # candidate's and champion's answers that ended at their limit
    left_out: Counter[str]
    missing: list[tuple[Example, bool]] = field(default_factory=list)  # unlabelled rows: did both answer the same?
    lengths: Scores = field(default_factory=list)  # tokens of both answers, row by row; empty: not measured
    latencies: Scores = field(default_factory=list)  # milliseconds, likewise
    business: list[tuple[float, float] | None] = field(default_factory=list)  # by a further metric; None: not known


def by_unit(rows: Sequence[Example]) -> list[list[Example]]:
    """Return the rows by unit, in the order of the units' first rows."""
    found: dict[str, list[Example]] = {}
    for row in rows:
        found.setdefault(_unit(row), []).append(row)
    return list(found.values())


def _unit(row: Example) -> str:
    return row.unit or row.id


def united(rows: Sequence[Example], pairs: Scores) -> Scores:
    """Return one pair a unit, the mean of its rows' pairs: rows that say the same are no more evidence than one."""
    found: dict[str, Scores] = {}
    for row, pair in zip(rows, pairs, strict=True):
        found.setdefault(_unit(row), []).append(pair)
    return [(_mean([mine for mine, _ in each]), _mean([theirs for _, theirs in each])) for each in found.values()]


def _mean(scores: Sequence[float]) -> float:
    return scores[0] if len(scores) == 1 else round(sum(scores) / len(scores), DIGITS)


def grown(gate: GateInput, part: str, found: AnsweredRows) -> GateInput:
    """Return the gate's input with further answers."""
    groups, missing = dict(gate.slices), dict(gate.missing)
    for name, pairs in slices(found.rows, found.pairs).items():
        groups[name] = [*groups.get(name, []), *pairs]
    for row, same in found.missing:
        for name in (part, *_groups(row)):
            missing[name] = missing.get(name, MissingPairs()) + MissingPairs(same, not same)
    return msgspec.structs.replace(
        gate,
        missing=missing,
        rests_on=dict(Counter(gate.rests_on) + Counter(row.selection for row in found.rows)),
        rows=asked_rows(gate) + len(found.rows),
        **{part: [*getattr(gate, part), *united(found.rows, found.pairs)]},
        slices=groups,
        business=[*gate.business, *_known(found)],
        left_out=dict(Counter(gate.left_out) + found.left_out),
        cut_candidate=gate.cut_candidate + found.cut[0],
        cut_champion=gate.cut_champion + found.cut[1],
        **(_durations(gate, found) if part == REGRESSION else {}),
    )


def _known(found: AnsweredRows) -> Scores:
    known = [(row, pair) for row, pair in zip(found.rows, found.business, strict=False) if pair is not None]
    return united([row for row, _ in known], [pair for _, pair in known])


def _durations(gate: GateInput, found: AnsweredRows) -> dict[str, Scores]:
    """Return how long answers are, and took, to rows of the healthy time: the right answer is as long as ever there."""
    return {
        name: [*getattr(gate, name), *(united(found.rows, measured) if measured else [])]
        for name, measured in (("lengths", found.lengths), ("latencies", found.latencies))
    }


def slices(rows: Sequence[Example], pairs: Scores) -> dict[str, Scores]:
    """Return the pairs of each tag's groups, by "tag=value"."""
    found: defaultdict[str, list[tuple[Example, tuple[float, float]]]] = defaultdict(list)
    for row, pair in zip(rows, pairs, strict=True):
        for name in _groups(row):
            found[name].append((row, pair))
    return {name: united([row for row, _ in each], [pair for _, pair in each]) for name, each in found.items()}


def _groups(row: Example) -> list[str]:
    return [f"{tag}={value}" for tag, value in row.tags.items()]


def summary(gate: GateInput) -> dict[str, float]:
    """Return the mean scores of both sides on both parts, and the shares of rows left out and of answers cut."""
    asked = asked_rows(gate)
    gone = sum(gate.left_out.values())
    shares = {
        "judged_left_out_share": gone / max(1, asked + gone),
        "cut_candidate_share": gate.cut_candidate / max(1, asked),
        "cut_champion_share": gate.cut_champion / max(1, asked),
    }
    parts = {"target": gate.target, "regression": gate.regression}
    sides = ("candidate", "champion")
    return shares | {
        f"{part}_{side}": sum(pair[i] for pair in pairs) / len(pairs)
        for part, pairs in parts.items()
        if pairs
        for i, side in enumerate(sides)
    }
