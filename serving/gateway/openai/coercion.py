"""JSON values that are not of the type an engine expects, read as the engine reads them.

vLLM's requests are pydantic models in lax mode (https://docs.pydantic.dev/latest/concepts/conversion_table/): a guard
that reads a value otherwise than the engine does is no guard."""

from __future__ import annotations

import math

FALSE_TEXTS = frozenset({"0", "off", "f", "false", "n", "no"})


def is_off(value: object) -> bool:
    """Return whether an engine takes the value of a switch for off. What it can not read is not off.

    >>> [is_off(value) for value in (None, False, 0, 0.0, "Off", True, 1, "yes", [], "")]
    [True, True, True, True, True, False, False, False, False, False]
    """
    if value is None or value is False:  # nearly always
        return True
    if isinstance(value, str):
        return value.lower() in FALSE_TEXTS
    return isinstance(value, int | float) and value == 0


def whole_number(value: object) -> int | None:
    """Return the whole number that an engine reads; None where it reads none.

    >>> [whole_number(value) for value in (7, 7.0, "7", " 7.0 ", True, 7.5, "x", None)]
    [7, 7, 7, 7, 1, None, None, None]
    """
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return _read(value)
    return int(value) if isinstance(value, float) and math.isfinite(value) and value.is_integer() else None


def _read(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        head, _, zeros = text.strip().partition(".")
        return int(head) if zeros and not zeros.strip("0") and _digits(head) else None


def _digits(text: str) -> bool:
    return text.lstrip("+-").replace("_", "").isdecimal() and len(text) < 4_300
