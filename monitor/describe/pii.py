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
from itertools import islice
from string import ascii_lowercase, ascii_uppercase, digits

from monitor.describe.private import accounts, phones
from monitor.describe.private.characters import SIGN, seen
from monitor.describe.private.credentials import Credentials
from monitor.describe.private.encodings import decoded, meant
from monitor.describe.private.lookalikes import ALL, MOMENTS, blurred, hidden
from monitor.describe.private.sketch import DIGITS, Sketch, kinds_table

DOUBTS = 500  # lookalikes in the texts of one event that are looked at closely; of more, all count as the real thing
VALUES = 1_000  # in the texts of one event that get something of their own in their place; more get their kind's name
BORDER = "\n\x02\n"  # between texts that are looked through as one: no pattern goes on behind it
SHORTEST = 5  # characters of anything private: a@b.c
Replace = Callable[[str, str], str]  # of a kind and a value


@dataclass(slots=True)
class Suspicions:
    """How many lookalikes, and characters around them, may still be looked at closely, and how many values replaced by
    one of their own: texts that come together share it."""

    left: int = DOUBTS
    looks: int = 2 * VALUES  # closely, at lookalikes and at the real thing
    characters: int = 64 * DOUBTS
    values: int = VALUES


@dataclass(frozen=True, slots=True)
class Pattern:
    """`regex`: the value is its last group, else all of it. `suspects`: of many texts, quick to find; nothing matches
    in any other. `unlike`: what is blurred first, for it only looks alike. `real` sorts out other lookalikes: how many
    characters of what was found are it, from the first on; 0 for none. `wide` finds more, where one of `cues` begins:
    only there it is tried, for it takes long."""

    regex: re.Pattern[str]
    suspects: Callable[[Sketch], Set[int]]
    real: Callable[[str], int] = len
    unlike: tuple[re.Pattern[str], ...] = ()
    cues: tuple[str, ...] = ()
    wide: re.Pattern[str] | None = None

    def spans(self, text: str, doubts: Suspicions | None = None) -> Iterator[tuple[int, int]]:
        """Return where it is, first to last. `text`: plain, as a sketch has it."""
        at, doubts = 0, doubts or Suspicions()
        if self.unlike:
            text, looked_at = blurred(text, self._matches, self.unlike, doubts.characters)
            doubts.characters -= looked_at
        if self.wide is not None:
            yield from (found.span(found.lastindex or 0) for found in self._matches(text))
            return
        while found := self.regex.search(text, at):
            value = found.lastindex or 0
            size = self.real(found.group(value)) if min(doubts.left, doubts.looks) > 0 else len(found.group(value))
            at = found.start(value) + (size or 1)
            doubts.left -= not size
            doubts.looks -= 1
            if size:
                yield found.start(value), at

    def _matches(self, text: str) -> Iterator[re.Match[str]]:
        """Return what is found, whether it is real or not, the first one first."""
        if self.wide is None or not (cues := _begins(text, self.cues)):
            yield from self.regex.finditer(text)
            return
        at, plain = 0, self.regex.search(text)
        for cue in (*cues, len(text)):
            while plain is not None and plain.start() < cue:
                if plain.start() >= at:
                    yield plain
                    at = plain.end()
                plain = self.regex.search(text, max(at, plain.start() + 1))
            if cue >= at and (found := self.wide.match(text, cue)):
                yield found
                at = found.end()


def _begins(text: str, words: Sequence[str]) -> list[int]:
    """Return where one of the words begins, in any case."""
    small = text.replace("\u0130", "I").lower()  # all others are as long in lower case
    return sorted({found.start() for word in words if word in small for found in re.finditer(re.escape(word), small)})


def named(text: str, words: Sequence[str]) -> bool:
    """Return whether one of the words is in the text, in any case."""
    small = text.lower()
    return any(word in small for word in words)


_NAMES = r"\w.+%\u0300-\u036f-"
_CLOSE = rf"(?![{SIGN}_])\w"  # of scripts that have no gap before or behind an address in Latin letters
_IMAGE = r"[1-4]x\.(?:png|jpe?g|webp|avif|gif|svg)\b"  # logo@2x.png
_EMAIL = (
    rf"(?!git@)(?:[a-zA-Z0-9_.+%-]+|(?:(?!(?<={_CLOSE})[a-zA-Z0-9])[{_NAMES}])+)@(?!{_IMAGE})(?:[\w-]+\.)+"
    rf"(?:[a-zA-Z][a-zA-Z0-9-]*(?={_CLOSE})|[^\W\d_][\w-]*)"
)
_LATIN = rf"(?<={_CLOSE})(?=[a-zA-Z0-9_.+%-]+@)"
EMAIL = re.compile(rf"(?:(?<![{_NAMES}])[oOdD]'(?=[A-Za-z]))?(?:(?<![{_NAMES}])|{_LATIN}){_EMAIL}(?:[.+%]{_EMAIL})*")
_CAPITALS = kinds_table(x=ascii_uppercase, y=ascii_lowercase, n=digits)


def _emails(sketch: Sketch) -> set[int]:
    return set(sketch.holding(b"@"))


def _numbered(sketch: Sketch, look: Callable[[Sketch], Iterable[int]]) -> set[int]:
    """Return the texts in which `look` finds something, of those with numbers."""
    places, some = sketch.numbers()
    return {places[i] for i in look(some)} if places else set()


def _accounts(some: Sketch) -> set[int]:
    return {*some.holding(b"xxnn", DIGITS), *some.holding(b"xxnn", _CAPITALS, b" .-"), *some.far()}


def _cards(some: Sketch) -> set[int]:
    return {*some.holding(b"n" * 13, DIGITS, b" .\n_/:()+-"), *some.far()}


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
    return text if len(text) < SHORTEST else replaced_in([text], kinds, by, doubts)[0]


def replaced_in(texts: Sequence[str], kinds: Sequence[str], by: Replace, doubts: Suspicions | None = None) -> list[str]:
    """Return the texts likewise, each by itself; many take no longer than one of their length."""
    doubts, written = doubts or Suspicions(), [seen(text) for text in texts]
    reads = [decoded(text) for text in written]
    places = sorted(_places(BORDER.join(each.text for each in reads), kinds, doubts), reverse=True)
    done, begin = [], 0
    for text, read in zip(written, reads, strict=True):
        parts, at, end = [], 0, begin + len(read.text)
        while places and places[-1][0] < end:
            start, stop, kind = places.pop()
            value = read.text[start - begin : stop - begin]
            parts += [
                text[at : read.place(start - begin)],
                by(kind, value) if doubts.values > 0 else PLACEHOLDERS[kind],
            ]
            doubts.values -= 1
            at = read.place(stop - begin)
        done.append("".join([*parts, text[at:]]) if parts else text)
        begin = end + len(BORDER)
    return done


def holds(text: str, kinds: Sequence[str], doubts: Suspicions | None = None) -> bool:
    """Return whether a private value of these kinds is in the text."""
    return bool(_places(meant(seen(text)), kinds, doubts or Suspicions(), most=1))


def _places(text: str, kinds: Sequence[str], doubts: Suspicions, most: int | None = None) -> list[tuple[int, int, str]]:
    """Return where each value is, and of which kind it is, one kind after the other, `most` of a kind."""
    places: list[tuple[int, int, str]] = []
    sketch = Sketch([text])
    (plain,) = sketch.texts
    for kind in kinds:
        if PATTERNS[kind].suspects(sketch):
            found = list(islice(PATTERNS[kind].spans(plain, doubts), most))
            plain = hidden(plain, found)  # from the patterns to come
            places += [(start, end, kind) for start, end in found]
            if places and most is not None:
                break
    return places


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
    sketch = Sketch([meant(seen(text)) for text in texts])
    marked = {i for place in PLACEHOLDERS.values() for i in sketch.holding(place.encode())}
    for pattern in PATTERNS.values():
        marked |= {i for i in pattern.suspects(sketch) - marked if any(True for _ in pattern.spans(sketch.texts[i]))}
    return [i in marked for i in range(len(texts))]
