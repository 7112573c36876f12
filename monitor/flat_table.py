"""Nested tables as one, for people and for tools that know names and values only."""

from __future__ import annotations

from collections.abc import Mapping


def flat(table: Mapping[str, object], at: str = "") -> dict[str, object]:
    """Return nested tables as one, with dotted names. `at`: before each name.

    >>> flat({"lora": {"r": 16}, "name": "qlora"})
    {'lora.r': 16, 'name': 'qlora'}
    """
    found: dict[str, object] = {}
    for key, value in table.items():
        found |= flat(value, f"{at}{key}.") if isinstance(value, dict) else {f"{at}{key}": value}
    return found
