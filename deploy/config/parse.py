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
NOTHING = ("", "none", "null")
LONGEST_S, MOST = 1_000_000_000, 2**53
SECRET = re.compile(r"kafka$|options|password|secret|token")  # keys whose values no message shows

NAMES = re.compile(r"user|(?:^|_)(?:name|id)$")  # keys whose values are texts, digits or not


class ConfigError(ValueError):
    """The configuration cannot be used; the message lists everything that is wrong with it."""

    def __init__(self, source: str, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join([f"{source}: {len(problems)} problem(s)", *(f"  - {p}" for p in problems)]))


def source(path: Path | None) -> str:
    """Return the source that errors name."""
    return str(path) if path else "configuration"


def given(kind: type[Any], path: Path | None, environment: Mapping[str, str] = os.environ) -> Table:
    """Return the TOML file at `path` (None: nothing) as a table, overridden by `HOMEOSTAT__SECTION__KEY`. Raise
    ConfigError."""
    table = read_toml(path) if path else {}
    for keys, text in overrides(environment):
        try:
            _put(table, keys, value(kind, keys, text))
        except ValueError as error:
            raise ConfigError(source(path), [f"{PREFIX}{'__'.join(keys).upper()}: {error}"]) from error
    return table


def value(kind: Any, keys: list[str], text: str) -> Any:
    """Return a variable's text in its setting's type: lists as JSON or with commas between their values, tables as
    JSON, nothing for a setting that may be none. Raise ValueError.

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
        return _value(text)
    return text


def _hint(kind: Any, keys: list[str]) -> Any:
    """Return the type of a setting; a text's for one that is not known, which `build` reports."""
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
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON ({error}), expected {expected}") from error
    if not isinstance(found, list if expected == "a list" else dict):
        raise ValueError(f"is {text}, expected {expected}")
    return found


def _value(text: str) -> Any:
    """Return a switch, a number, a list or a table, where the text is one in JSON; the text itself otherwise."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(found, str) else found


def read_toml(path: Path, advice: str = "; without --config the defaults hold") -> Table:
    """Read the file as a table. Raise ConfigError where it is missing, unreadable or not TOML."""
    try:
        return tomllib.loads(utf8(path.read_bytes()))
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}{advice}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise ConfigError(str(path), [f"is not TOML: {error}"]) from error


def build(kind: type[T], table: Table, source: str) -> T:
    """Return `kind` made from a table. Raise ConfigError with all problems: unknown keys, wrong types, values out of
    range."""
    problems = [f"{key}: unknown key; expected one of {', '.join(known)}" for key, known in unknown(kind, table)]
    problems += [f"{key} = {value!r}: {expected}" for key, value, expected in _no_paths(kind, table)]
    wanted: Any = kind
    try:
        built: T = _adapter(wanted).validate_python(table)
    except ValidationError as error:
        problems += [describe(dict(e)) for e in error.errors()]
    else:
        problems += [f"{key} = {number}: expected {expected}" for key, number, expected in _beyond(built)]
    if problems:
        raise ConfigError(source, problems)
    return built


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Keep it: making one takes longer than reading a file."""
    return TypeAdapter(kind)


def _no_paths(kind: Any, table: Table, at: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield paths that would be mistaken for the process's working folder, or for one called `~` in it."""
    hints = get_type_hints(kind)
    for key, text in table.items():
        wanted = hints.get(key)
        for kind_of_part, part, place in _within(wanted, text, f"{at}{key}."):
            yield from _no_paths(kind_of_part, part, place)
        if isinstance(text, str) and Path in (wanted, *get_args(wanted)):
            if not text.strip():
                yield f"{at}{key}", text, "is empty, expected a path"
            elif text.startswith("~"):
                yield f"{at}{key}", text, "only shells know what ~ is, expected the path written out"


def _beyond(built: Any, at: str = "") -> Iterator[tuple[str, float, str]]:
    """Yield numbers that are not finite or not exact, which JSON, in jobs and ledger, has no form for; and waits that
    Python refuses only when they begin."""
    if isinstance(built, float) and not math.isfinite(built):
        yield at, built, "a finite number"
    elif isinstance(built, int | float) and at.endswith("_s") and built > LONGEST_S:
        yield at, built, f"at most {LONGEST_S:,} seconds, which are 31 years"
    elif isinstance(built, int) and abs(built) > MOST:
        yield at, built, f"at most {MOST:,}"
    parts: dict[Any, Any] = built if isinstance(built, dict) else {}
    if dataclasses.is_dataclass(built):
        parts = {each.name: getattr(built, each.name) for each in dataclasses.fields(built)}
    if isinstance(built, list | tuple):
        parts = dict(enumerate(built))
    for name, part in parts.items():
        yield from _beyond(part, f"{at}.{name}" if at else str(name))


def describe(error: Table) -> str:
    """Describe one pydantic error as `key = value: what was expected`."""
    key = ".".join(map(str, error["loc"]))
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = message.replace("a valid tuple", "a list").replace("a valid dictionary", "a table")
    if not key or isinstance(error.get("input"), dict):
        return f"{key}: {message}" if key else message
    shown = "(not shown)" if SECRET.search(key) else repr(error.get("input"))
    return f"{key} = {shown}: {message}"


def unknown(kind: Any, table: Table, at: str = "") -> list[tuple[str, list[str]]]:
    """List the keys of `table` that `kind` does not have, depth first, each with those it has."""
    hints = get_type_hints(kind)
    found: list[tuple[str, list[str]]] = []
    for key, value in table.items():
        if key not in hints:
            found.append((f"{at}{key}", sorted(hints)))
        else:
            for kind_of_part, part, place in _within(hints[key], value, f"{at}{key}."):
                found += unknown(kind_of_part, part, place)
    return found


def _within(kind: Any, value: Any, at: str) -> Iterator[tuple[Any, Table, str]]:
    """Yield the tables in a value that are dataclasses, each with its class and place: the value itself, or the parts
    of a table of them."""
    if isinstance(value, dict) and dataclasses.is_dataclass(kind):
        yield kind, value, at
    elif isinstance(value, dict) and (each := named_tables(kind)) is not None:
        for name, part in value.items():
            if isinstance(part, dict):
                yield each, part, f"{at}{name}."


def named_tables(hint: Any) -> type[Any] | None:
    """Return the dataclass of a setting whose tables have names of the operator's; None for any other setting."""
    found = get_args(hint)[1] if get_origin(hint) is dict else None
    return found if isinstance(found, type) and dataclasses.is_dataclass(found) else None


def overrides(environment: Mapping[str, str]) -> list[tuple[list[str], str]]:
    """Return the overrides: `HOMEOSTAT__GATEWAY__PORT=8080` as (["gateway", "port"], "8080")."""
    return [
        ([part.lower() for part in name.removeprefix(PREFIX).split("__")], value)
        for name, value in sorted(environment.items())
        if name.startswith(PREFIX)
    ]


def _put(table: Table, keys: list[str], value: Any) -> None:
    """Put the value into the table; merge a table with one that is there. Raise ValueError where it has no place."""
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ValueError("a part of it is a value already")
    known = table.get(keys[-1])
    table[keys[-1]] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
