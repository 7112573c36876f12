"""A schema's patterns: how long they may look at an answer, which may be made to keep them busy.

Python's search cannot be interrupted, and nothing else runs meanwhile. So its steps are counted beforehand, from the
pattern and the length of the text (`monitor.describe.patterns.search_steps`): the same answer is always judged the same
way, on any machine. A pattern that may take too many on a short text is refused at the start."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import lru_cache, partial
from typing import Any

from monitor.describe.patterns import search_steps

SHORT = 32  # characters of a text that each pattern can look at
BUDGET = 64_000_000  # steps of all patterns in one answer; those that take the longest need some 0.1 s for them
OF_NAMES = ("patternProperties", "additionalProperties", "unevaluatedProperties")  # which look at an object's names

_left: ContextVar[float] = ContextVar("steps left for the answer", default=float("inf"))


class TooLong(Exception):
    """To look at an answer may take more steps than there are for one."""


def check(patterns: Sequence[str], named: str) -> None:
    """Raise ValueError, beginning with `named`, for a pattern that may take too long."""
    for pattern in patterns:
        try:
            most = search_steps(pattern, SHORT)
        except ValueError as error:
            raise ValueError(f"{named}, expected patterns without {error}; one is {pattern!r}") from error
        if most > BUDGET:
            raise ValueError(
                f"{named}, expected patterns that end soon: {pattern!r} may take {most:.0e} steps on {SHORT} characters"
                f", where {BUDGET:.0e} are allowed; do not nest its repeats, give them bounds, begin it with ^"
            )


def patterns(schema: Any) -> tuple[list[str], list[str]]:
    """Return the patterns of texts and those of names in this schema, none of what is within it."""
    if not isinstance(schema, dict):
        return [], []
    text, names = schema.get("pattern"), schema.get("patternProperties")
    return [text] if isinstance(text, str) else [], list(names) if isinstance(names, dict) else []


def bounded(kind: Any, of_names: Sequence[str]) -> Any:
    """Return the class of validators whose patterns spend `judged`'s budget. `of_names`: all patterns of names."""
    from jsonschema.validators import extend

    known = kind.VALIDATORS
    wrapped = {name: partial(_on_names, known[name], tuple(of_names)) for name in OF_NAMES if name in known}
    return extend(kind, {"pattern": partial(_on_text, known["pattern"])} | (wrapped if of_names else {}))


def judged(validator: Any, value: object) -> bool:
    """Return whether the value fits. Raise TooLong where that may take more steps than one answer has."""
    token = _left.set(BUDGET)
    try:
        return bool(validator.is_valid(value))
    finally:
        _left.reset(token)


Keyword = Callable[[Any, Any, Any, Any], Iterator[Any] | None]


def _on_text(search: Keyword, validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:
    if isinstance(value, str):
        _spend(pattern, value)
    yield from search(validator, pattern, value, schema) or ()


def _on_names(
    search: Keyword, of_names: tuple[str, ...], validator: Any, what: Any, value: Any, schema: Any
) -> Iterator[Any]:
    if isinstance(value, dict):
        for name in value:
            for pattern in of_names:
                _spend(pattern, name)
    yield from search(validator, what, value, schema) or ()


def _spend(pattern: str, text: str) -> None:
    left = _left.get() - _most(pattern, 1 << len(text).bit_length())
    if left < 0:
        raise TooLong(f"{pattern!r} on {len(text)} characters")
    _left.set(left)


_most = lru_cache(maxsize=1_024)(search_steps)
