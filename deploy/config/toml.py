"""Writes the part of TOML that a configuration needs: tables of strings, numbers, booleans, lists and tables."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def dump(tables: Mapping[str, Mapping[str, object]]) -> str:
    """Return one `[table]` after the other.

    >>> print(dump({"stack": {"var": "here", "engine_ports": [8001]}}), end="")
    [stack]
    var = "here"
    engine_ports = [8001]
    """
    lines: list[str] = []
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {literal(value)}" for key, value in table.items()), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def literal(value: Any) -> str:
    """Return a value as it stands behind the sign of equality.

    >>> literal({"x-tenant": "tenant"}), literal((1, 0.5)), literal(Path("var"))
    ('{ "x-tenant" = "tenant" }', '[1, 0.5]', '"var"')
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_text(key)} = {literal(each)}' for key, each in value.items())} }}" if value else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    return _text(str(value)) if isinstance(value, str | Path) else json.dumps(value)


def _text(value: str) -> str:
    """JSON writes what is beyond 16 bits as two halves, which TOML refuses."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
