"""Settings that are checked when they are made."""

from __future__ import annotations


def require(owner: object, name: str, holds: bool, expected: str) -> None:
    """Raise ValueError with the setting's name, its value and what was expected, unless it holds."""
    if not holds:
        raise ValueError(f"{type(owner).__name__}.{name} is {getattr(owner, name)!r}, expected {expected}")
