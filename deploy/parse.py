"""TOML and environment into frozen dataclasses: every error at once, each with key, value and expectation."""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
Table = dict[str, Any]
PREFIX = "HOMEOSTAT__"
SECRET = re.compile(r"kafka$|options|password|secret|token")  # keys whose values no message shows


class ConfigError(ValueError):
    """The configuration cannot be used; the message lists everything that is wrong with it."""

    def __init__(self, source: str, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join([f"{source}: {len(problems)} problem(s)", *(f"  - {p}" for p in problems)]))


def load(kind: type[T], path: Path | None, environment: Mapping[str, str] = os.environ) -> T:
    """`kind` from the TOML file at `path` (None: defaults only), overridden by `HOMEOSTAT__SECTION__KEY`.

    Raises ConfigError with all problems found: unknown keys, wrong types, values out of range."""
    source = str(path) if path else "configuration"
    table = read_toml(path) if path else {}
    for keys, value in overrides(environment):
        if not _put(table, keys, value):
            raise ConfigError(source, [f"{PREFIX}{'__'.join(keys).upper()}: a part of it is a value already"])
    return build(kind, table, source)


def read_toml(path: Path, advice: str = "; without --config the defaults hold") -> Table:
    """The file as a table; ConfigError when it is missing, unreadable or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}{advice}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"is not TOML: {error}"]) from error


def build(kind: type[T], table: Table, source: str) -> T:
    """`kind` from a table; ConfigError naming every unknown key and every unusable value."""
    problems = [f"{key}: unknown key; expected one of {', '.join(known)}" for key, known in unknown(kind, table)]
    try:
        built = TypeAdapter(kind).validate_python(table)
    except ValidationError as error:
        problems += [describe(dict(e)) for e in error.errors()]
    if problems:
        raise ConfigError(source, problems)
    return built


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


def _put(table: Table, keys: list[str], value: str) -> bool:
    """Whether there is a place for it."""
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            return False
    table[keys[-1]] = value
    return True
