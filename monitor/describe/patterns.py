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
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]  # the module's own reading of a pattern
from typing import Any

MOST = 16  # patterns: each is a descriptor
LONGEST = 4_000  # characters of a text that are looked at
STEPS = 4_000  # from one place of a text, for all patterns together; a text made for it then takes some 50 ms
DOUBLINGS = 40  # more ways than these are far too many, however many
NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")

_ENDLESS = {_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT}
_SIGNS = {_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY}
_BEGINS = [(_constants.AT, _constants.AT_BEGINNING), (_constants.AT, _constants.AT_BEGINNING_STRING)]
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
        return _Count(LONGEST).steps(_parser.parse(text, re.IGNORECASE))[1]
    except ValueError as error:
        raise ValueError(f"policy_patterns.{name} is {text!r}, expected none with {error}") from error


def search_steps(pattern: str, length: int) -> float:
    """Return how many steps it takes at most to look for a pattern in a text of that length. Raise ValueError naming
    what no bound is known for, and re.error for what is no pattern.

    >>> search_steps("ab{2,3}", 100), search_steps("^a*b*", 100), search_steps("(a+)+", 100) > 1e9
    (500.0, 10301.0, True)
    >>> search_steps("^a+(-a+)*$", 100) < 1e5
    True
    """
    parsed = _parser.parse(pattern)
    steps = _Count(length).steps(parsed)[1]
    begins = len(parsed) > 0 and parsed[0] in _BEGINS and not parsed.state.flags & re.MULTILINE
    return length + steps * (1 if begins else length)


@dataclass(frozen=True, slots=True)
class _Count:
    """The counts of ways and steps on texts of one length."""

    longest: int

    def steps(self, items: Any) -> tuple[float, float]:
        """Return in how many ways a sequence can match at one place, at most, and the steps it takes to try them."""
        ways, steps = 1.0, 0.0
        for kind, what in items:
            more, cost = self._item(kind, what)
            steps += ways * cost
            ways *= more
        return ways, max(steps, 1.0)

    def _item(self, kind: Any, what: Any) -> tuple[float, float]:
        if kind in _ENDLESS:
            return self._repeat(*what)
        if kind is _constants.BRANCH:
            tried = [self.steps(branch) for branch in what[1]]
            ways = (max if _one_fits(what[1]) else sum)(ways for ways, _ in tried)
            return ways, sum(steps for _, steps in tried)
        if kind in (_constants.GROUPREF, _constants.GROUPREF_EXISTS):
            raise ValueError("references to its groups")
        if kind in _GROUPS:
            place = _GROUPS[kind]
            return self.steps(what if place is None else what[place])
        return 1.0, 1.0

    def _repeat(self, least: int, most: int, items: Any) -> tuple[float, float]:
        """An endless one may be as long as the text. Where each round begins with a sign that is nowhere else in it,
        as in `a+(-a+)*`, the text says where the rounds are: all ways are to end in another place."""
        ways, steps = self.steps(items)
        most = min(int(most), self.longest)
        if ways <= 1.0:
            return max(most - least, 0) + 1.0, most * steps
        if _parted(items):
            return self.longest + 1.0, self.longest + steps
        if most * math.log2(ways) > DOUBLINGS:
            return 2.0**DOUBLINGS, 2.0**DOUBLINGS
        return sum(ways**count for count in range(least, most + 1)), steps * sum(ways**count for count in range(most))


def _parted(items: Any) -> bool:
    """Return whether each round of a sequence has a sign at its begin or its end that nothing else in it can
    take; at most one of the rest, which are single signs, is repeated in more ways than one."""
    if len(items) == 1 and items[0][0] is _constants.SUBPATTERN:
        return _parted(items[0][1][3])
    flat = [*_flat(items)]
    free = sum(kind in _ENDLESS and what[0] != what[1] for kind, what in items)
    if len(flat) < max(len(items), 2) or free > 1:
        return False
    return _apart(items, flat, 0) or _apart(items, flat, len(flat) - 1)


def _apart(items: Any, flat: list[tuple[Any, Any]], place: int) -> bool:
    if items[place][0] is not _constants.LITERAL:
        return False
    rest = (_parser.SubPattern(items.state, [each]) for i, each in enumerate(flat) if i != place)
    return not any(_compiler.compile(each, re.IGNORECASE).match(chr(flat[place][1])) for each in rest)


def _flat(items: Any) -> Iterator[tuple[Any, Any]]:
    """Return the single signs of a sequence, those that are repeated too; nothing of what is more."""
    for kind, what in items:
        if kind in _SIGNS:
            yield kind, what
        elif kind in _ENDLESS and len(what[2]) == 1 and what[2][0][0] in _SIGNS:
            yield what[2][0]


def _one_fits(branches: Any) -> bool:
    """Return whether each branch begins with another sign, so that a text has one that fits at most."""
    begins = [each[0] if len(each) else (None, 0) for each in branches]
    signs = {chr(what).casefold() for kind, what in begins if kind is _constants.LITERAL}
    return len(signs) == len(begins)
