"""Personal data and secrets, taken out of texts before they leave the process.

Each finding of `monitor.describe.pii` is replaced by a surrogate under its tenant's key, so that a reader sees what
kind it was, and that two were the same, but not whose it was, nor that two tenants have the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from monitor.canonical import UNREADABLE
from monitor.describe.pii import PATTERNS, Suspicions, holds, named, replaced, replaced_in
from monitor.describe.private.credentials import NAME, PASSWORD, PASSWORD_NAMED, PASSWORD_WORDS
from monitor.describe.private.sketch import FEWEST
from monitor.describe.private.surrogates import Surrogates

Value = TypeVar("Value")
Made = Callable[[Sequence[str]], Value]  # what makes a value of all leaves, once they are masked
DEEPEST = 3  # JSON in texts of JSON that is read as such
_ESCAPE = re.compile(r"\\.")
_LAYERS = re.compile(r"\\[\\/u]")  # escapes that only a reader of the JSON sees through
_BREAKS = re.compile(r"[\s\"',;&<>${*]+")  # that end a password in a text, and none in a value of its own
TENANTS = 1_024  # whose maskers are kept


class Masker:
    """A replacement of what the kinds named find. Raise KeyError for an unknown kind.

    >>> Masker(["email"], b"a tenant's key")("write to ann@example.org")
    'write to mlvcbtsrbrlt@mail.invalid'
    """

    def __init__(self, kinds: Iterable[str], key: bytes, country: str = "") -> None:
        """`country`: the code of telephone numbers that are written without any."""
        wanted = frozenset(kinds)
        if strange := wanted - PATTERNS.keys():
            raise KeyError(f"mask: {', '.join(sorted(strange))}; expected kinds among {', '.join(PATTERNS)}")
        self._kinds = [kind for kind in PATTERNS if kind in wanted]
        self._by = Surrogates(key, country)

    def __call__(self, text: str, doubts: Suspicions | None = None) -> str:
        """Return the text masked. `doubts`: those that the texts of one event share, so that many texts take no longer
        than one."""
        return replaced(text, self._kinds, self._by, doubts)

    def whole(self, text: str, doubts: Suspicions | None = None) -> str:
        """Return the text masked; of JSON each value by itself, so that it stays JSON, and numbers stay numbers.

        >>> Masker(["email", "card"], b"key").whole('{"to": "ann@example.org", "cards": [4111111111111111, 7]}')
        '{"to":"chhrhjswkphp@mail.invalid","cards":[9999334125208944,7]}'
        """
        if not _is_like_json(text):
            return self(text, doubts)
        try:
            return self.json(text, doubts)
        except UNREADABLE:
            return self(text, doubts)

    def json(self, text: str, doubts: Suspicions | None = None) -> str:
        """Return JSON of any kind likewise. Raise one of UNREADABLE for what is none."""
        doubts = doubts or Suspicions()
        if not _LAYERS.search(text):
            flat = _ESCAPE.sub(" ", text.replace('\\"', '"')) if "\\" in text else text
            if not _has_password(flat) and not holds(flat, self._kinds, doubts):
                return text
        leaves: list[str] = []
        made = _json(text, leaves, DEEPEST)
        return made(replaced_in(leaves, self._kinds, self._by, doubts))


class Maskers:
    """The maskers of all tenants. `key`: of a tenant, at most 64 bytes; `country`: as a masker has it."""

    def __init__(self, kinds: Iterable[str], key: Callable[[str], bytes], country: str = "") -> None:
        kinds = tuple(kinds)
        self._of = lru_cache(maxsize=TENANTS)(lambda tenant: Masker(kinds, key(tenant), country))

    def __call__(self, tenant: str) -> Masker:
        """Return the one of a tenant."""
        return self._of(tenant)


def _has_password(text: str) -> bool:
    """Return whether a name in this JSON says that its value is a password, which needs no sign of its own then."""
    return named(text, PASSWORD_WORDS) and PASSWORD_NAMED.search(text) is not None


def _is_like_json(text: str) -> bool:
    return text.lstrip().startswith(("{", "["))


def _json(text: str, leaves: list[str], deepest: int) -> Made[str]:
    """Add the texts in JSON to the leaves and return what makes it of them, masked: itself where nothing changed."""
    value = msgspec.json.decode(text)
    made = _value(value, leaves, deepest)

    def written(masked: Sequence[str]) -> str:
        inner = made(masked)
        return text if inner == value else msgspec.json.encode(inner).decode()

    return written


def _value(value: Any, leaves: list[str], deepest: int) -> Made[Any]:
    if isinstance(value, str):
        return _text(value, leaves, deepest)
    if isinstance(value, list):
        parts = [_value(each, leaves, deepest) for each in value]
        return lambda masked: [part(masked) for part in parts]
    if isinstance(value, dict):
        fields = [(_text(name, leaves, deepest), _named(name, each, leaves, deepest)) for name, each in value.items()]
        return lambda masked: {name(masked): each(masked) for name, each in fields}
    if isinstance(value, bool) or not isinstance(value, int | float):
        return lambda masked: value
    return _number(value, leaves)


def _text(text: str, leaves: list[str], deepest: int) -> Made[str]:
    if deepest and _is_like_json(text):
        with suppress(*UNREADABLE):
            return _json(text, leaves, deepest - 1)
    return _leaf(text, leaves)


def _leaf(text: str, leaves: list[str]) -> Made[str]:
    place = len(leaves)
    leaves.append(text)
    return lambda masked: masked[place]


def _named(name: str, value: Any, leaves: list[str], deepest: int) -> Made[Any]:
    """Make a value, as the secret that its name says it is where that is so."""
    made, name = _value(value, leaves, deepest), name[-64:]
    if not isinstance(value, str) or not NAME.search(name):
        return made
    before = f"{name}="
    secret = _leaf(before + (_BREAKS.sub("_", value) if PASSWORD.search(name) else value), leaves)

    def chosen(masked: Sequence[str]) -> Any:
        found = secret(masked)
        return found.removeprefix(before) if found.startswith(before) else made(masked)

    return chosen


def _number(value: float, leaves: list[str]) -> Made[Any]:
    """Make a number, which is another number where it is private."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if len(text) < FEWEST:
        return lambda masked: value
    made = _leaf(text, leaves)

    def read(masked: Sequence[str]) -> Any:
        found = made(masked)
        if found == text:
            return value
        return int(found) if found.isdecimal() else found

    return read
