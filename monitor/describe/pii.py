"""Personal data and secrets in texts: what is one, and where. The gateway masks by these patterns before an event
leaves it, and the monitor counts by the same ones, so the two agree.

The patterns are a net with known holes (`docs/masking.md` has the figures): names, postal addresses, and what is spelt
out, encoded or split over two messages pass. What a masker took out left a surrogate (`private.surrogates`), or, until
events of version 2, its kind in brackets, as in `[email]`; both count as found. Time is linear in the text, whatever it
is: nothing may begin within a run of characters that was looked at already."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import partial
from string import ascii_lowercase, ascii_uppercase, digits

from monitor.describe.private import accounts, phones
from monitor.describe.private.characters import SIGN, seen
from monitor.describe.private.credentials import Credentials
from monitor.describe.private.lookalikes import ALL, MOMENTS, blurred, hidden
from monitor.describe.private.sketch import DIGITS, Sketch, kinds_table

DOUBTS = 500  # lookalikes in the texts of one event that are looked at closely; of more, all count as the real thing
SHORTEST = 5  # characters of anything private: a@b.c
Replace = Callable[[str, str], str]  # of a kind and a value


@dataclass(slots=True)
class Suspicions:
    """How many lookalikes, and characters around them, may still be looked at closely: texts that come together share
    it."""

    left: int = DOUBTS
    characters: int = 64 * DOUBTS


@dataclass(frozen=True, slots=True)
class Pattern:
    """`regex`: the value is its last group, else all of it. `suspects`: of many texts, quick to find; nothing matches
    in any other. `unlike`: what is blurred first, for it only looks alike. `real` sorts out other lookalikes: how many
    characters of what was found are it, from the first on; 0 for none. `wide` finds more, where one of `cues` is in the
    text."""

    regex: re.Pattern[str]
    suspects: Callable[[Sketch], Set[int]]
    real: Callable[[str], int] = len
    unlike: tuple[re.Pattern[str], ...] = ()
    cues: tuple[str, ...] = ()
    wide: re.Pattern[str] | None = None

    def spans(self, text: str, doubts: Suspicions | None = None) -> Iterator[tuple[int, int]]:
        """Return where it is, first to last. `text`: plain, as a sketch has it."""
        at, doubts, regex = 0, doubts or Suspicions(), self.regex
        if self.wide is not None and named(text, self.cues):
            regex = self.wide
        if self.unlike:
            text, looked_at = blurred(text, regex, self.unlike, doubts.characters)
            doubts.characters -= looked_at
        while found := regex.search(text, at):
            value = found.lastindex or 0
            size = self.real(found.group(value)) if doubts.left > 0 else len(found.group(value))
            at = found.start(value) + (size or 1)
            doubts.left -= not size
            if size:
                yield found.start(value), at


def named(text: str, words: Sequence[str]) -> bool:
    """Return whether one of the words is in the text, in any case."""
    small = text.lower()
    return any(word in small for word in words)


_NAMES = r"\w.+%\u0300-\u036f-"
_CLOSE = rf"(?![{SIGN}_])\w"  # of scripts that have no gap before or behind an address in Latin letters
_IMAGE = r"[1-4]x\.(?:png|jpe?g|webp|avif|gif|svg)\b"  # logo@2x.png
_EMAIL = (
    rf"(?!git@)(?:[a-zA-Z0-9_.+%-]+|(?:(?!(?<={_CLOSE})[a-zA-Z0-9])[{_NAMES}])+)(?:@|%40|&#64;)(?!{_IMAGE})(?:[\w-]+\.)+"
    rf"(?:[a-zA-Z][a-zA-Z0-9-]*(?={_CLOSE})|[^\W\d_][\w-]*)"
)
_LATIN = rf"(?<={_CLOSE})(?=[a-zA-Z0-9_.+%-]+(?:@|%40|&#64;))"
EMAIL = re.compile(rf"(?:(?<![{_NAMES}])[oOdD]'(?=[A-Za-z]))?(?:(?<![{_NAMES}])|{_LATIN}){_EMAIL}(?:[.+%]{_EMAIL})*")
_CAPITALS = kinds_table(x=ascii_uppercase, y=ascii_lowercase, n=digits)


def _emails(sketch: Sketch) -> set[int]:
    return {*sketch.holding(b"@"), *sketch.holding(b"%40"), *sketch.holding(b"&#64;")}


def _numbered(sketch: Sketch, look: Callable[[Sketch], Iterable[int]]) -> set[int]:
    """Return the texts in which `look` finds something, of those with numbers."""
    places, some = sketch.numbers()
    return {places[i] for i in look(some)} if places else set()


def _accounts(some: Sketch) -> set[int]:
    return {*some.holding(b"xxnn", DIGITS), *some.holding(b"xxnn", _CAPITALS, b" .-"), *some.far()}


def _cards(some: Sketch) -> set[int]:
    return {*some.holding(b"n" * 13, DIGITS, b" .\n_/:()-"), *some.far()}


def _phones(some: Sketch) -> list[int]:
    return [i for i, text in enumerate(some.texts) if phones.LIKELY.search(text) or named(text, phones.CUES)]


PATTERNS: dict[str, Pattern | Credentials] = {  # in the order of their use
    "secret": Credentials(),
    "email": Pattern(EMAIL, _emails),
    "iban": Pattern(accounts.ACCOUNT, partial(_numbered, look=_accounts), accounts.account),
    "card": Pattern(accounts.CARD, partial(_numbered, look=_cards), accounts.card, MOMENTS),
    "phone": Pattern(phones.PHONE, partial(_numbered, look=_phones), len, ALL, phones.CUES, phones.CUED),
}
PLACEHOLDERS = {kind: f"[{kind}]" for kind in PATTERNS}


def replaced(text: str, kinds: Sequence[str], by: Replace, doubts: Suspicions | None = None) -> str:
    """Return the text with each private value of these kinds, which stand in the order of `PATTERNS`, by another.

    >>> replaced("ann@example.org, 4111111111111111", ["email", "card"], lambda kind, value: f"{kind} of {len(value)}")
    'email of 15, card of 16'
    """
    if len(text) < SHORTEST:
        return text
    text, places = seen(text), []
    sketch = Sketch([text])
    (plain,) = sketch.texts
    for kind in kinds:
        if PATTERNS[kind].suspects(sketch):
            found = list(PATTERNS[kind].spans(plain, doubts))
            plain = hidden(plain, found)  # from the patterns to come
            places += [(start, end, kind) for start, end in found]
    if not places:
        return text
    parts, at = [], 0
    for start, end, kind in sorted(places):
        parts += [text[at:start], by(kind, text[start:end])]
        at = end
    return "".join([*parts, text[at:]])


def mask(text: str) -> str:
    """Return the text without anything private, whatever the kind: where there is no key for surrogates, its kind
    stands in its place.

    >>> mask("alias is 'ann@example.org'")
    "alias is '[email]'"
    """
    return replaced(text, list(PATTERNS), lambda kind, _: PLACEHOLDERS[kind])


def found(texts: Sequence[str]) -> list[bool]:
    """Return which texts hold personal data or a secret, or did before they were masked.

    >>> found(["Where is my card?", "I am ann@example.org", "I am [email]"])
    [False, True, True]
    """
    sketch = Sketch([seen(text) for text in texts])
    marked = {i for place in PLACEHOLDERS.values() for i in sketch.holding(place.encode())}
    for pattern in PATTERNS.values():
        marked |= {i for i in pattern.suspects(sketch) - marked if any(True for _ in pattern.spans(sketch.texts[i]))}
    return [i in marked for i in range(len(texts))]
