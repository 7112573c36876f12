"""The table of what is private and what only looks like it, filled in: `private_cases.toml`."""

from __future__ import annotations

import random
import re
import string
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from monitor.describe.pii import PATTERNS, found, replaced
from monitor.describe.private.surrogates import Surrogates

ALPHABETS = {
    "A": string.ascii_letters + string.digits,
    "T": string.ascii_letters + string.digits + "-_",
    "H": "0123456789abcdef",
    "U": string.ascii_uppercase + string.digits,
    "B": string.ascii_letters + string.digits + "+/",
    "D": "123456789",
}
_FILLED = re.compile(r"\{([ATHUBD])([0-9]+)\}")
_MARKED = re.compile(r"<<([^<>]*)>>")
SEED = 20261201
LEAST = 8  # of the signs of a secret that must not show: fewer may be a provider's own
TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
FRESH = tomllib.loads(Path(__file__).with_name("private_fresh.toml").read_text())
SURROGATES = Surrogates(b"the key of the tests")


@dataclass(frozen=True, slots=True)
class PrivateCase:
    """A text, of a kind, and what of it must not show."""

    kind: str
    text: str
    private: tuple[str, ...] = ()

    @property
    def masked(self) -> str:
        """The text as an event has it."""
        return replaced(self.text, list(PATTERNS), SURROGATES)

    @property
    def hidden(self) -> bool:
        """Whether nothing private shows, and the monitor counts it, before and after."""
        masked = self.masked
        shows = any(each in masked or same(each) in same(masked) for each in self.private)
        return not shows and found([self.text, masked]) == [True, True]


def same(text: str) -> str:
    """The signs alone: a number in other groups is the same one."""
    return "".join(each for each in text if each.isalnum())


def positives(table: Mapping[str, Mapping[str, list[str]]] = TABLE) -> list[PrivateCase]:
    rng = random.Random(SEED)
    return [case(kind, text, rng) for kind, texts in table["found"].items() for text in texts]


def negatives(table: Mapping[str, Mapping[str, list[str]]] = TABLE) -> list[PrivateCase]:
    return [PrivateCase(kind, text) for kind, texts in table["passed"].items() for text in texts]


def taken() -> list[PrivateCase]:
    return [PrivateCase(kind, text) for kind, texts in TABLE["taken"].items() for text in texts]


def holes() -> list[PrivateCase]:
    return [PrivateCase(kind, text) for kind, texts in TABLE["holes"].items() for text in texts]


def case(kind: str, text: str, rng: random.Random) -> PrivateCase:
    drawn: list[str] = []

    def fill(place: re.Match[str]) -> str:
        alphabet, count = ALPHABETS[place[1]], int(place[2])
        digits = rng.choice("123456789") if place[1] != "D" else ""  # as all but a few real ones have
        drawn.append(
            "".join(rng.choice(alphabet) for _ in range(count - len(digits) - 1)) + digits + rng.choice("abcde")
        )
        if place[1] in "DU":
            drawn[-1] = drawn[-1][:-1].upper() + rng.choice("23456")
        return drawn[-1][:count]

    whole = _FILLED.sub(fill, text)
    marked = list(_marked(whole))
    return PrivateCase(kind, _MARKED.sub(r"\1", whole), (*marked, *(each for each in drawn if len(each) >= LEAST)))


def _marked(text: str) -> Iterator[str]:
    return (place[1] for place in _MARKED.finditer(text))
