"""What the gate needs of a row: its id, its score from 0 to 1, its unit, its groups, and further numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from retrain.evaluation.checks import REGRESSION, TARGET
from retrain.harness.evaluation_file import EvaluationFile, Fields, FileRow
from retrain.harness.formats import LINES

IDS = ("id", "example_id", "sample_id", "question_id")
ASKED = (
    "inputs",
    "request",
    "input",
    "prompt",
    "question",
)  # columns by which rows of tables without ids are told apart
WITHIN = ("doc", "metadata")  # objects in which harnesses keep the fields of a question
WORDS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "true": 1.0, "false": 0.0}  # Inspect's values, and a table's


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the rows are to be read."""

    score: str = ""  # field with the score; none: the only one that there is
    id: str = ""  # field that pairs rows; none: the usual names
    groups: Sequence[str] = ()  # fields whose values are groups
    numbers: Mapping[str, float] = field(default_factory=dict)  # further fields, from 0 to that
    low: float = 0.0  # the worst score
    high: float = 1.0  # the best one


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer's score."""

    place: str
    id: str
    score: float  # from 0 to 1, the best
    unit: str = ""  # rows of one are no more evidence than one
    part: str = TARGET  # or regression
    groups: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    question: str = ""  # what tells the question from others, where that is known


def samples(rows: EvaluationFile, reading: Reading) -> tuple[str, list[Sample]]:
    """Return the score's name and the rows' samples. Raise ValueError that names file, line and field."""
    if not rows.rows:
        raise ValueError(f"{rows.path}: has no rows, expected some")
    name = _score_name(rows, reading.score)
    return name, [_sample(row, name, reading, rows.kind) for row in rows.rows]


def _score_name(rows: EvaluationFile, wanted: str) -> str:
    if wanted:
        if all(_found(row.fields, wanted) is None for row in rows.rows):
            raise ValueError(f"{rows.path}: no row has {wanted!r}, expected a score there; {_choice(rows)}")
        return wanted
    if len(rows.names) != 1:
        raise ValueError(f"{rows.path}: {len(rows.names)} fields may be the score; {_choice(rows)}")
    return rows.names[0]


def _choice(rows: EvaluationFile) -> str:
    known = ", ".join(rows.names or sorted({name for row in rows.rows[:100] for name in row.fields}))
    return f"name one with --score: {known}"


def _sample(row: FileRow, name: str, reading: Reading, kind: str) -> Sample:
    own = row.fields if kind == LINES else {}
    part = own.get("part", TARGET)
    if part not in (TARGET, REGRESSION):
        raise ValueError(f"{row.place}: part is {part!r}, expected {TARGET} or {REGRESSION}")
    value = _number(row, name)
    if not reading.low <= value <= reading.high:
        expected = f"a number from {reading.low:g} to {reading.high:g} (--range names another range)"
        raise ValueError(f"{row.place}: {name} is {value:g}, expected {expected}")
    share = (value - reading.low) / (reading.high - reading.low)
    return Sample(
        row.place,
        _id(row, reading.id),
        1.0 - share if name == "loss" else share,
        str(own.get("unit") or ""),
        part,
        _groups(row, reading.groups, own.get("group")),
        {each: _within(row, each, most) for each, most in reading.numbers.items()},
        row.question,
    )


def _id(row: FileRow, wanted: str) -> str:
    if wanted:
        if (found := _found(row.fields, wanted)) in (None, ""):
            raise ValueError(f"{row.place}: {wanted} is missing, expected what pairs the rows")
        return _text(found)
    for name in IDS:
        if row.fields.get(name) not in (None, ""):
            return _text(row.fields[name])
    asked = {name: each for name, each in row.fields.items() if name.partition("/")[0] in ASKED}
    if not asked:
        raise ValueError(f"{row.place}: id is missing, expected a text or a number (--id names another field)")
    return _text(asked)


def _groups(row: FileRow, names: Sequence[str], own: object) -> dict[str, str]:
    found = {str(tag): _text(value) for tag, value in own.items()} if isinstance(own, dict) else {}
    if own is not None and not isinstance(own, dict):
        found["group"] = _text(own)
    for name in names:
        if (value := _found(row.fields, name)) is None:
            raise ValueError(f"{row.place}: {name} is missing, expected a group's name")
        found[name] = _text(value)
    return found


def _within(row: FileRow, name: str, most: float) -> float:
    found = _number(row, name)
    if not 0 <= found <= most:
        expected = "0 or more" if most == math.inf else f"a number from 0 to {most:g}"
        raise ValueError(f"{row.place}: {name} is {found:g}, expected {expected}")
    return found


def _number(row: FileRow, name: str) -> float:
    value = _found(row.fields, name)
    if isinstance(value, str):
        value = WORDS.get(value, WORDS.get(value.lower(), value))
    try:
        found = float(value) if isinstance(value, bool | int | float | str) else math.nan
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        shown = "missing" if value is None else repr(value)[:80]
        raise ValueError(f"{row.place}: {name} is {shown}, expected a number")
    return found


def _found(fields: Fields, name: str) -> Any:
    """Return a field by its name, or by a path of names with dots; harnesses keep a question's own within another."""
    for place in (fields, *(fields.get(each) for each in WITHIN)):
        if isinstance(place, dict) and name in place:
            return place[name]
    first, dot, rest = name.partition(".")
    return _found(fields[first], rest) if dot and isinstance(fields.get(first), dict) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value, order="deterministic").decode()
