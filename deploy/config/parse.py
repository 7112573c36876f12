"""TOML and environment into frozen dataclasses: every error at once, each with key, value and expectation."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from streams.files import utf8

T = TypeVar("T")
Table = dict[str, Any]
PREFIX = "HOMEOSTAT__"
_adapter = cache(TypeAdapter)  # slow to make
NOTHING = ("", "none", "null")
SECRET = re.compile(r"kafka$|options|password|secret|token")  # keys whose values no message shows

NAMES = re.compile(r"user|(?:^|_)(?:name|id)$")  # keys whose values are texts, digits or not


class ConfigError(ValueError):
    """The configuration cannot be used; the message lists everything that is wrong with it."""

    def __init__(self, source: str, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join([f"{source}: {len(problems)} problem(s)", *(f"  - {p}" for p in problems)]))


def load(kind: type[T], path: Path | None, environment: Mapping[str, str] = os.environ) -> T:
    """`kind` from the TOML file at `path` (None: defaults only), overridden by `HOMEOSTAT__SECTION__KEY`.

    Raises ConfigError with all problems found: unknown keys, wrong types, values out of range."""
    return build(kind, given(kind, path, environment), source(path))


def source(path: Path | None) -> str:
    """What errors are said to be of."""
    return str(path) if path else "configuration"


def given(kind: type[Any], path: Path | None, environment: Mapping[str, str] = os.environ) -> Table:
    """What file and environment say, as one table. Raises ConfigError."""
    table = read_toml(path) if path else {}
    for keys, text in overrides(environment):
        try:
            _put(table, keys, value(kind, keys, text))
        except ValueError as error:
            raise ConfigError(source(path), [f"{PREFIX}{'__'.join(keys).upper()}: {error}"]) from error
    return table


def value(kind: Any, keys: list[str], text: str) -> Any:
    """A variable's text as its setting has it: lists as JSON or with commas between their values, tables as JSON,
    nothing for a setting that may be none. Raises ValueError.

    >>> @dataclasses.dataclass
    ... class Example:
    ...     ports: tuple[int, ...] = ()
    ...     file: Path | None = None
    >>> value(Example, ["ports"], "8001, 8002"), value(Example, ["file"], "none")
    (['8001', '8002'], None)
    """
    wanted = _hint(kind, keys)
    kinds = {get_origin(each) or each for each in (get_args(wanted) if _either(wanted) else (wanted,))}
    if NoneType in kinds and text.strip().lower() in NOTHING:
        return None
    if kinds & {tuple, list} and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if kinds & {tuple, list, dict} or any(map(dataclasses.is_dataclass, kinds)):
        return _json(text, "a list" if kinds & {tuple, list} else "a table")
    if wanted is Any and not SECRET.search(keys[-1]) and not NAMES.search(keys[-1]):
        return _word(text)
    return text


def _hint(kind: Any, keys: list[str]) -> Any:
    """The type of a setting; a text's for one that is not known, which is told later."""
    for key in keys:
        if dataclasses.is_dataclass(kind):
            kind = get_type_hints(kind).get(key, str)
        else:
            kind = get_args(kind)[1] if get_origin(kind) is dict else str
    return kind


def _either(wanted: Any) -> bool:
    return get_origin(wanted) in (Union, UnionType)


def _json(text: str, expected: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"is not JSON ({error}), expected {expected}") from error
    if not isinstance(found, list if expected == "a list" else dict):
        raise ValueError(f"is {text}, expected {expected}")
    return found


def _word(text: str) -> Any:
    """A switch or a number, where the text is one in JSON; the text itself otherwise."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, bool | int | float | None) else text


def read_toml(path: Path, advice: str = "; without --config the defaults hold") -> Table:
    """The file as a table; ConfigError when it is missing, unreadable or not TOML."""
    try:
        return tomllib.loads(utf8(path.read_bytes()))
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}{advice}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise ConfigError(str(path), [f"is not TOML: {error}"]) from error


def build(kind: type[T], table: Table, source: str) -> T:
    """`kind` from a table; ConfigError naming every unknown key and every unusable value."""
    problems = [f"{key}: unknown key; expected one of {', '.join(known)}" for key, known in unknown(kind, table)]
    problems += [f"{key} = {said!r}: {expected}" for key, said, expected in _no_paths(kind, table)]
    try:
        built: T = _adapter(kind).validate_python(table)  # type: ignore[arg-type]  # mypy: a class has no hash
    except ValidationError as error:
        problems += [describe(dict(e)) for e in error.errors()]
    else:
        problems += [f"{key} = {number}: expected a finite number" for key, number in _endless(built)]
    if problems:
        raise ConfigError(source, problems)
    return built


def _no_paths(kind: Any, table: Table, at: str = "") -> Iterator[tuple[str, str, str]]:
    """Paths that would be taken for the folder a process happens to be in, or for one called `~` there."""
    hints = get_type_hints(kind)
    for key, said in table.items():
        wanted = hints.get(key)
        if isinstance(said, dict) and dataclasses.is_dataclass(wanted):
            yield from _no_paths(wanted, said, f"{at}{key}.")
        elif isinstance(said, str) and Path in (wanted, *get_args(wanted)):
            if not said.strip():
                yield f"{at}{key}", said, "is empty, expected a path"
            elif said.startswith("~"):
                yield f"{at}{key}", said, "only shells know what ~ is, expected the path written out"


def _endless(built: Any, at: str = "") -> Iterator[tuple[str, float]]:
    """Numbers that are none, or have no end: JSON, in jobs and ledger, has no word for them."""
    if isinstance(built, float) and not math.isfinite(built):
        yield at, built
    parts: dict[Any, Any] = built if isinstance(built, dict) else {}
    if dataclasses.is_dataclass(built):
        parts = {each.name: getattr(built, each.name) for each in dataclasses.fields(built)}
    if isinstance(built, list | tuple):
        parts = dict(enumerate(built))
    for name, part in parts.items():
        yield from _endless(part, f"{at}.{name}" if at else str(name))


def describe(error: Table) -> str:
    """One pydantic error as `key = value: what was expected`."""
    key = ".".join(map(str, error["loc"]))
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if not key or isinstance(error.get("input"), dict):
        return f"{key}: {message}" if key else message
    shown = "(not shown)" if SECRET.search(key) else repr(error.get("input"))
    return f"{key} = {shown}: {message}"


def unknown(kind: Any, table: Table, at: str = "") -> list[tuple[str, list[str]]]:
    """Keys of `table` that `kind` does not have, depth first, each with those it has."""
    hints = get_type_hints(kind)
    found: list[tuple[str, list[str]]] = []
    for key, value in table.items():
        if key not in hints:
            found.append((f"{at}{key}", sorted(hints)))
        elif isinstance(value, dict) and dataclasses.is_dataclass(hints[key]):
            found += unknown(hints[key], value, f"{at}{key}.")
    return found


def overrides(environment: Mapping[str, str]) -> list[tuple[list[str], str]]:
    """`HOMEOSTAT__GATEWAY__PORT=8080` as (["gateway", "port"], "8080")."""
    return [
        ([part.lower() for part in name.removeprefix(PREFIX).split("__")], value)
        for name, value in sorted(environment.items())
        if name.startswith(PREFIX)
    ]


def _put(table: Table, keys: list[str], value: Any) -> None:
    """Raises ValueError where there is no place for it. A table goes over what is there already."""
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ValueError("a part of it is a value already")
    known = table.get(keys[-1])
    table[keys[-1]] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
