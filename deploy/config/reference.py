"""Every setting with its type, its default and its comment: what `homeostat config` prints and the documents list."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from deploy.config.comments import about, comments
from deploy.config.parse import named_tables
from deploy.config.settings import DECIDED_BY, Config

NAMES = {str: "text", Path: "path", bool: "true or false", int: "whole number", float: "number", NoneType: "none"}
PLURAL = {str: "texts", int: "whole numbers"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of `homeostat.toml`."""

    key: str  # with its table: gateway.head_limit_bytes
    kind: str
    default: object
    about: str
    decided_by: str  # another setting that this one follows; empty for nearly all

    @property
    def name(self) -> str:
        """Return the key within its table."""
        return self.key.rpartition(".")[2]

    @property
    def variable(self) -> str:
        """Return the variable of the environment that overrides it."""
        return f"HOMEOSTAT__{self.key.replace('.', '__').upper()}"


@dataclass(frozen=True, slots=True)
class Section:
    """One table of `homeostat.toml`."""

    name: str
    about: str
    settings: tuple[Setting, ...]


def sections(kind: type = Config, at: str = "") -> Iterator[Section]:
    """Yield each table in the order of the dataclasses, a table before those within it."""
    hints = get_type_hints(kind)
    if at:
        yield section(kind, at)
    for each in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[each.name]):
            yield from sections(hints[each.name], f"{at}.{each.name}" if at else each.name)


def named() -> Iterator[Section]:
    """Yield the tables that an operator names, such as [engines.NAME]."""
    hints = get_type_hints(Config)
    for each in dataclasses.fields(Config):
        if (kind := named_tables(hints[each.name])) is not None:
            yield section(kind, f"{each.name}.NAME")


def section(kind: type, at: str) -> Section:
    """Return one table, without those within it."""
    hints, texts = get_type_hints(kind), comments(kind)
    keys = [each for each in dataclasses.fields(kind) if not dataclasses.is_dataclass(hints[each.name])]
    settings = (_setting(f"{at}.{each.name}", hints[each.name], each, texts.get(each.name, "")) for each in keys)
    return Section(at, about(kind), tuple(settings))


def _setting(key: str, hint: Any, field: dataclasses.Field[Any], text: str) -> Setting:
    made = field.default_factory
    default = field.default if made is dataclasses.MISSING else made()
    return Setting(key, kind_of(hint), default, text, DECIDED_BY.get(key, ""))


def kind_of(hint: Any) -> str:
    """Return a type in words.

    >>> kind_of(tuple[int, ...]), kind_of(Path | None), kind_of(Literal["a", "b"])
    ('list of whole numbers', 'path or none', '`a`, `b`')
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(kind_of(each) for each in args)
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in args)
    if origin is tuple:
        return f"list of {PLURAL.get(args[0]) or kind_of(args[0])}"
    if origin is dict:
        return f"table of {PLURAL.get(args[1], 'values')}"
    if dataclasses.is_dataclass(hint):
        return f"tables ({', '.join(each.name for each in dataclasses.fields(hint))})"
    return NAMES.get(hint, "any value")
