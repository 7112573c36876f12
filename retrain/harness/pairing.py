"""Two files matched row by row."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from retrain.evaluation.checks import Scores
from retrain.harness.evaluation_file import EvaluationFile
from retrain.harness.formats import read
from retrain.harness.inspect_log import INSPECT
from retrain.harness.samples import Reading, Sample, samples

SHOWN = 3  # ids that a message names


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRow:
    """What both sides got for one question, or for several of one unit."""

    id: str
    part: str
    groups: Mapping[str, str]
    scores: tuple[float, float]  # candidate's and champion's
    numbers: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class PairedFiles:
    """Two files' rows in chance order, with what wrote them and what is compared."""

    kind: str
    metric: str
    rows: list[PairedRow]


def paired(champion: Path, candidate: Path, reading: Reading) -> PairedFiles:
    """Return the rows of two files by id. Raise ValueError where an id is there twice or in one file only, where
    question, group, part or unit of a row differ, or where the files have different scores."""
    sides = [_side(read(path), reading) for path in (champion, candidate)]
    (metric, theirs, kind), (other, mine, _) = sides
    if metric != other:
        raise ValueError(
            f"{candidate}: the score is {other!r}, expected {metric!r} as in {champion}: name one with --score"
        )
    _require_same(champion, theirs, mine, candidate)
    _require_same(candidate, mine, theirs, champion)
    for name, each in mine.items():
        _require_alike(theirs[name], each)
    return PairedFiles(kind, metric, _united([(theirs[name], mine[name]) for name in sorted(theirs, key=_chance)]))


def _side(rows: EvaluationFile, reading: Reading) -> tuple[str, dict[str, Sample], str]:
    """Return a file's samples by id. Epochs of one question are one row with their mean."""
    name, found = samples(rows, reading)
    by_id: defaultdict[str, list[Sample]] = defaultdict(list)
    for each in found:
        if each.id in by_id and rows.kind != INSPECT:
            raise ValueError(f"{each.place}: id {each.id[:80]!r} is there twice, first at {by_id[each.id][0].place}")
        by_id[each.id].append(each)
    return name, {id: _mean(each) for id, each in by_id.items()}, rows.kind


def _mean(epochs: Sequence[Sample]) -> Sample:
    first = epochs[0]
    if len(epochs) == 1:
        return first
    numbers = {name: sum(each.numbers[name] for each in epochs) / len(epochs) for name in first.numbers}
    score = sum(each.score for each in epochs) / len(epochs)
    return replace(first, score=score, numbers=numbers)


def _require_same(path: Path, those: Mapping[str, Sample], others: Mapping[str, Sample], other: Path) -> None:
    if lacking := [each for name, each in those.items() if name not in others]:
        names = ", ".join(repr(each.id[:80]) for each in lacking[:SHOWN])
        first = f"{lacking[0].place}: id {lacking[0].id[:80]!r}"
        raise ValueError(f"{first} is not in {other}; {len(lacking)} ids of {path} are not: {names}")


def _require_alike(theirs: Sample, mine: Sample) -> None:
    if theirs.question and mine.question and theirs.question != mine.question:
        asked = f"id {mine.id[:80]!r} is another question than at {theirs.place}"
        raise ValueError(f"{mine.place}: {asked}; expected evaluations of the same questions")
    for what in ("part", "unit", "groups"):
        one, other = getattr(theirs, what), getattr(mine, what)
        if one != other:
            raise ValueError(f"{mine.place}: {what} is {other!r}, expected {one!r} as at {theirs.place}")


def _united(pairs: Sequence[tuple[Sample, Sample]]) -> list[PairedRow]:
    """Return one row a unit (of a part and groups), with the means of its rows."""
    units: defaultdict[tuple[str, str, tuple[tuple[str, str], ...]], list[tuple[Sample, Sample]]] = defaultdict(list)
    for theirs, mine in pairs:
        own = f"unit {theirs.unit}" if theirs.unit else f"id {theirs.id}"
        units[own, theirs.part, tuple(theirs.groups.items())].append((theirs, mine))
    return [
        PairedRow(
            id=each[0][0].unit or each[0][0].id,
            part=each[0][0].part,
            groups=each[0][0].groups,
            scores=_means([(mine.score, theirs.score) for theirs, mine in each]),
            numbers={
                name: _means([(mine.numbers[name], theirs.numbers[name]) for theirs, mine in each])
                for name in each[0][0].numbers
            },
        )
        for each in units.values()
    ]


def _means(pairs: Scores) -> tuple[float, float]:
    return sum(mine for mine, _ in pairs) / len(pairs), sum(theirs for _, theirs in pairs) / len(pairs)


def _chance(name: str) -> bytes:
    """Order rows by chance: harnesses sort them by subject."""
    return hashlib.sha256(name.encode()).digest()
