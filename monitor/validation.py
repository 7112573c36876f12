"""What every setting goes through once, when it is made: it holds, or the error says what was expected."""

from __future__ import annotations


def require(owner: object, name: str, holds: bool, expected: str) -> None:
    """Raise ValueError where a setting of `owner` does not hold; it names the field, its value and what was expected.

    >>> require(3 + 4j, "imag", False, "0")
    Traceback (most recent call last):
    ...
    ValueError: complex.imag is 4.0, expected 0
    """
    if not holds:
        raise ValueError(f"{type(owner).__name__}.{name} is {getattr(owner, name)!r}, expected {expected}")
