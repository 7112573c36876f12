"""The operator's own patterns: what no answer should say, as named regular expressions.

A pattern is looked for in every answer, also in one that an attacker shaped to make the search slow. Python's search
tries every way in which a pattern can match, so a pattern is taken only if the number of steps that takes, from one
place of a text, is bounded and small: that is counted from the pattern itself. Nested repeats multiply and are refused;
a repeat without an upper bound may be as long as the text, so it needs one: `.{0,40}` for `.*`, `\\s{1,5}` for `\\s+`.

Letters match in either case. Flags belong into groups, as in `(?-i:ACME)`. There are no references to groups."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from re import _constants, _parser  # type: ignore[attr-defined]  # the module's own reading of a pattern
from typing import Any

MOST = 16  # patterns: each is a descriptor
LONGEST = 4_000  # characters of a text that are looked at
STEPS = 4_000  # from one place of a text, for all patterns together; a text made for it then takes some 50 ms
DOUBLINGS = 40  # more ways than these are far too many, however many
NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")

_ENDLESS = {_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT}
_GROUPS = {_constants.SUBPATTERN: -1, _constants.ATOMIC_GROUP: None, _constants.ASSERT: 1, _constants.ASSERT_NOT: 1}


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The patterns, checked: raises ValueError naming the one that cannot be used and why."""

    patterns: Mapping[str, str] = field(default_factory=dict)  # by name
    _any: re.Pattern[str] | None = field(init=False, repr=False, compare=False, default=None)
    _each: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        if len(self.patterns) > MOST:
            raise ValueError(f"policy_patterns has {len(self.patterns)} patterns, expected at most {MOST}")
        each = tuple(_compiled(name, text) for name, text in self.patterns.items())
        _check_steps(self.patterns)
        if each:
            object.__setattr__(self, "_each", each)
            object.__setattr__(self, "_any", re.compile("|".join(one.pattern for one in each), re.IGNORECASE))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names, in the order of `hits`."""
        return tuple(self.patterns)

    def hits(self, texts: Sequence[str]) -> list[list[bool]]:
        """Return for each pattern which texts it is found in.

        >>> Forbidden({"competitor": r"\\bacme\\b", "promise": r"guarantee[ds]?"}).hits(["Ask Acme.", "Hello"])
        [[True, False], [False, False]]
        """
        if self._any is None:
            return []
        suspects = [i for i, text in enumerate(texts) if self._any.search(text, 0, LONGEST)]
        return [list(_marked(pattern, texts, suspects)) for pattern in self._each]


def _marked(pattern: re.Pattern[str], texts: Sequence[str], suspects: Sequence[int]) -> Iterator[bool]:
    hit = {i for i in suspects if pattern.search(texts[i], 0, LONGEST)}
    return (i in hit for i in range(len(texts)))


def _compiled(name: str, text: str) -> re.Pattern[str]:
    if not NAME.fullmatch(name):
        raise ValueError(f"policy_patterns.{name}: expected a name of lower-case letters, digits and '_', at most 32")
    fault = f"policy_patterns.{name} is {text!r}, expected"
    try:
        re.compile(text, re.IGNORECASE)
        wrapped = re.compile(f"(?:{text})", re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{fault} a regular expression: {error}") from error
    if wrapped.search(""):
        raise ValueError(f"{fault} one that needs some text to match")
    if wrapped.groupindex:
        raise ValueError(f"{fault} groups without names")
    return wrapped


def _check_steps(patterns: Mapping[str, str]) -> None:
    steps = {name: _taken(name, text) for name, text in patterns.items()}
    if (total := sum(steps.values())) > STEPS:
        name = max(steps, key=lambda name: steps[name])
        raise ValueError(
            f"policy_patterns.{name} is {patterns[name]!r}, which may take {steps[name]:.0f} steps to try, and all "
            f"patterns together {total:.0f}; expected at most {STEPS}: give its repeats an upper bound, or a smaller "
            "one, as in .{0,40} for .*, and do not nest them"
        )


def _taken(name: str, text: str) -> float:
    try:
        return _steps(_parser.parse(text, re.IGNORECASE))[1]
    except _Refused as error:
        raise ValueError(f"policy_patterns.{name} is {text!r}, expected none with {error}") from error


class _Refused(Exception):
    """What a pattern must not hold."""


def _steps(items: Any) -> tuple[float, float]:
    """In how many ways a sequence can match at one place, at most, and the steps it takes to try them all."""
    ways, steps = 1.0, 0.0
    for kind, what in items:
        more, cost = _item(kind, what)
        steps += ways * cost
        ways *= more
    return ways, max(steps, 1.0)


def _item(kind: Any, what: Any) -> tuple[float, float]:
    if kind in _ENDLESS:
        return _repeat(*what)
    if kind is _constants.BRANCH:
        tried = [_steps(branch) for branch in what[1]]
        return sum(ways for ways, _ in tried), sum(steps for _, steps in tried)
    if kind in (_constants.GROUPREF, _constants.GROUPREF_EXISTS):
        raise _Refused("references to its groups")
    if kind in _GROUPS:
        place = _GROUPS[kind]
        return _steps(what if place is None else what[place])
    return 1.0, 1.0


def _repeat(least: int, most: int, items: Any) -> tuple[float, float]:
    """An endless one may be as long as the text."""
    ways, steps = _steps(items)
    most = min(int(most), LONGEST)
    if ways <= 1.0:
        return max(most - least, 0) + 1.0, most * steps
    if most * math.log2(ways) > DOUBLINGS:
        return 2.0**DOUBLINGS, 2.0**DOUBLINGS
    return sum(ways**count for count in range(least, most + 1)), steps * sum(ways**count for count in range(most))
