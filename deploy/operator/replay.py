"""The replay of a ledger: every decision derived again from its recorded inputs, and compared."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from streams.codec import Undecodable, decode, plain
from streams.events import DecisionRecorded

Line = tuple[str, bytes]  # its place, and one decision's JSON
OPERATOR = "operator"  # a human decided: recorded, not derived


@dataclass(frozen=True, slots=True)
class Function:
    """A pure function that decides. `part`: which element of its result is recorded; None: all of it."""

    module: str
    name: str
    part: int | None = None

    @property
    def edition(self) -> int:
        """The edition of this release."""
        return int(importlib.import_module(self.module).EDITION)

    def load(self) -> Callable[..., Any]:
        """Return the function itself."""
        found: Callable[..., Any] = getattr(importlib.import_module(self.module), self.name)
        return found


FUNCTIONS: dict[str, Function] = {
    "judge.update": Function("monitor.judge", "update", part=1),  # the findings; the state follows from them
    "judge.answer": Function("monitor.judge", "answer", part=1),
    "policy.decide": Function("monitor.policy", "decide", part=1),
    "gate.judge": Function("retrain.evaluation.gate", "judge"),
    "rollout.step": Function("serving.rollout.machine", "step"),
}


@dataclass(frozen=True, slots=True)
class Replayed:
    """One decision, derived again. `same` is None where nothing is to be derived. `other`: the edition of the function
    that made it, where that is not this release's, which cannot derive it."""

    id: str
    kind: str
    summary: str
    same: bool | None
    difference: str = ""  # the first place that differs, with both values
    other: str = ""


class LedgerError(ValueError):
    """The ledger cannot be read or replayed; the message names file, line and what was expected."""


def derived(records: Iterable[Line], alias: str | None = None) -> Iterator[Replayed]:
    """Yield each decision derived again, repetitions after a crash too. `alias`: only of this one. Raise LedgerError
    naming the place."""
    for place, entry in _decoded(records):
        if alias not in (None, entry.alias):
            continue
        try:
            found = derive(entry)
        except LedgerError as error:
            raise LedgerError(f"{place}: {error}") from error
        yield found


def entries(path: Path) -> Iterator[tuple[str, DecisionRecorded]]:
    """Yield each decision of a ledger file with its place, read as it goes. Raise LedgerError."""
    return _decoded(lines(path))


def lines(path: Path) -> Iterator[Line]:
    """Yield a ledger file's lines that are not blank. Raise LedgerError where it cannot be read."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield f"{path}, line {number}", line
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read: {error.strerror}; expected a ledger.jsonl") from error


def derive(entry: DecisionRecorded) -> Replayed:
    """Repeat the decision from its inputs and compare. Raise LedgerError where that is not possible."""
    names = (entry.id, entry.kind.value, entry.summary)
    if entry.function == OPERATOR:
        return Replayed(*names, same=None)
    if entry.function not in FUNCTIONS:
        known = ", ".join([*FUNCTIONS, OPERATOR])
        raise LedgerError(f"function is {entry.function!r}, expected one of {known}: written by another release?")
    function = FUNCTIONS[entry.function]
    if entry.edition != function.edition:
        made = f"{entry.function} of edition {entry.edition or 'unknown'}, this release has {function.edition}"
        return Replayed(*names, same=None, other=made)
    found = difference(plain(entry.output), again(entry), "output")
    return Replayed(*names, same=found is None, difference=found or "")


def again(entry: DecisionRecorded) -> Any:
    """Return the decision of this release's function on the recorded inputs. Raise LedgerError where they misfit."""
    return plain(_call(FUNCTIONS[entry.function], entry.inputs))


def difference(recorded: Any, derived: Any, at: str) -> str | None:
    """Return the first place where two JSON values differ; None where they are equal to the last bit.

    >>> difference({"a": [1.0, 2.0]}, {"a": [1.0, 3.0]}, "output")
    'output.a[1]: recorded 2.0, derived 3.0'
    """
    if isinstance(recorded, dict) and isinstance(derived, dict):
        keys = dict.fromkeys([*recorded, *derived])
        pairs = [(f"{at}.{key}", recorded.get(key, ABSENT), derived.get(key, ABSENT)) for key in keys]
    elif isinstance(recorded, list) and isinstance(derived, list):
        longer = range(max(len(recorded), len(derived)))
        pairs = [(f"{at}[{i}]", _nth(recorded, i), _nth(derived, i)) for i in longer]
    else:
        return None if _equal(recorded, derived) else f"{at}: recorded {_short(recorded)}, derived {_short(derived)}"
    return next((found for place, one, other in pairs if (found := difference(one, other, place))), None)


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()


def _call(function: Function, inputs: dict[str, Any]) -> object:
    call = function.load()
    hints, names = _signature(function)
    missing, strange = [n for n in names if n not in inputs], [n for n in inputs if n not in hints]
    if missing or strange:
        problems = [f"{name} is missing" for name in missing] + [f"{name} is not known" for name in strange]
        raise LedgerError(f"inputs of {function.module}.{function.name}: {', '.join(problems)}")
    result = call(**{name: _convert(name, value, hints[name]) for name, value in inputs.items()})
    return result if function.part is None else result[function.part]


@cache
def _signature(function: Function) -> tuple[dict[str, Any], list[str]]:
    """Return the types of the arguments, and the names of those that have no default."""
    call = function.load()
    hints = get_type_hints(call)
    hints.pop("return", None)
    needed = [name for name, p in inspect.signature(call).parameters.items() if p.default is inspect.Parameter.empty]
    return hints, needed


def _convert(name: str, value: Any, kind: Any) -> Any:
    try:
        return msgspec.json.decode(msgspec.json.encode(value), type=kind)
    except (msgspec.ValidationError, ValueError) as error:
        raise LedgerError(f"inputs.{name}: {error}") from error


def _decoded(records: Iterable[Line]) -> Iterator[tuple[str, DecisionRecorded]]:
    for place, value in records:
        try:
            entry = decode(DecisionRecorded, value)
        except Undecodable as error:
            raise LedgerError(f"{place}: {error}") from error
        yield place, entry


def _nth(values: list[Any], i: int) -> Any:
    return values[i] if i < len(values) else ABSENT


def _equal(recorded: Any, derived: Any) -> bool:
    """Compare two values as JSON: it has one kind of number; true and 1 are not the same."""
    if isinstance(recorded, bool) or isinstance(derived, bool):
        return recorded is derived
    return bool(recorded == derived)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
