"""Writes the small part of TOML that a configuration needs: tables of strings, numbers, booleans and lists."""

from __future__ import annotations

import json
from collections.abc import Mapping


def dump(tables: Mapping[str, Mapping[str, object]]) -> str:
    """One `[table]` after the other.

    >>> print(dump({"stack": {"var": "here", "engine_ports": [8001]}}), end="")
    [stack]
    var = "here"
    engine_ports = [8001]
    """
    lines: list[str] = []
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items()), ""]
    return "\n".join(lines).rstrip("\n") + "\n"
