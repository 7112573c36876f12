"""Personal data and secrets, taken out of texts before they leave the process.

Each finding of `monitor.describe.pii` is replaced by a surrogate under its tenant's key, so that a reader sees what
kind it was, and that two were the same, but not whose it was, nor that two tenants have the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any

import msgspec

from monitor.canonical import UNREADABLE
from monitor.describe.pii import PATTERNS, Suspicions, named, replaced
from monitor.describe.private.credentials import NAME, PASSWORD, PASSWORD_NAMED, PASSWORD_WORDS
from monitor.describe.private.surrogates import Surrogates

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

    def __init__(self, kinds: Iterable[str], key: bytes) -> None:
        wanted = frozenset(kinds)
        if strange := wanted - PATTERNS.keys():
            raise KeyError(f"mask: {', '.join(sorted(strange))}; expected kinds among {', '.join(PATTERNS)}")
        self._kinds = [kind for kind in PATTERNS if kind in wanted]
        self._by = Surrogates(key)

    def __call__(self, text: str, doubts: Suspicions | None = None) -> str:
        """Return the text masked. `doubts`: those that the texts of one event share, so that many texts take no longer
        than one."""
        return replaced(text, self._kinds, self._by, doubts)

    def whole(self, text: str, doubts: Suspicions | None = None, deepest: int = DEEPEST) -> str:
        """Return the text masked; of JSON each value by itself, so that it stays JSON, and numbers stay numbers.

        >>> Masker(["email", "card"], b"key").whole('{"to": "ann@example.org", "cards": [4111111111111111, 7]}')
        '{"to":"chhrhjswkphp@mail.invalid","cards":[9999334125208944,7]}'
        """
        if not text.lstrip().startswith(("{", "[")):
            return self(text, doubts)
        try:
            return self.json(text, doubts, deepest)
        except UNREADABLE:
            return self(text, doubts)

    def json(self, text: str, doubts: Suspicions | None = None, deepest: int = DEEPEST) -> str:
        """Return JSON of any kind likewise. Raise one of UNREADABLE for what is none."""
        if not _LAYERS.search(text):
            flat = _ESCAPE.sub(" ", text.replace('\\"', '"')) if "\\" in text else text
            if not _has_password(flat) and self(flat, doubts) == flat:
                return text
        value = msgspec.json.decode(text)
        mask = partial(self.whole, doubts=doubts, deepest=deepest - 1) if deepest else partial(self, doubts=doubts)
        inner = _masked(value, mask)
        return text if inner == value else msgspec.json.encode(inner).decode()


class Maskers:
    """The maskers of all tenants. `key`: of a tenant, at most 64 bytes."""

    def __init__(self, kinds: Iterable[str], key: Callable[[str], bytes]) -> None:
        kinds = tuple(kinds)
        self._of = lru_cache(maxsize=TENANTS)(lambda tenant: Masker(kinds, key(tenant)))

    def __call__(self, tenant: str) -> Masker:
        """Return the one of a tenant."""
        return self._of(tenant)


def _has_password(text: str) -> bool:
    """Return whether a name in this JSON says that its value is a password, which needs no sign of its own then."""
    return named(text, PASSWORD_WORDS) and PASSWORD_NAMED.search(text) is not None


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [_masked(each, mask) for each in value]
    if isinstance(value, dict):
        return {mask(name): _named(name, each, mask) for name, each in value.items()}
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return _number(value, mask)


def _named(name: str, value: Any, mask: Callable[[str], str]) -> Any:
    """Return a value masked, as the secret that its name says it is where that is so."""
    if isinstance(value, str) and NAME.search(name[-64:]):
        before = f"{name[-64:]}="
        masked = mask(before + (_BREAKS.sub("_", value) if PASSWORD.search(name[-64:]) else value))
        return masked.removeprefix(before) if masked.startswith(before) else mask(value)
    return _masked(value, mask)


def _number(value: float, mask: Callable[[str], str]) -> Any:
    """Return a number masked, which is another number then."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    masked = mask(text)
    if masked == text:
        return value
    return int(masked) if masked.isdecimal() else masked
