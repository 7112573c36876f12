"""Personal data and secrets in texts: what is one, and where. The gateway masks by these patterns before an event
leaves it, and the monitor counts by the same ones, so the two agree.

The patterns are a net with known holes: names, postal addresses, and what is spelt out, encoded or split over two
messages pass. What a masker took out left its kind in brackets, as in `[email]`, and counts as found. Time is linear
in the text, whatever it is: nothing may begin within a run of characters that was looked at already."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate, chain
from string import ascii_letters, digits

from monitor.characters import UNSEEN
from monitor.describe.lookalikes import ALL, MOMENTS, blurred

_PLAIN = (  # one for one: blanks that break no line, dashes, full-width and small forms
    *((blank, " ") for blank in (*map(chr, range(0x2000, 0x200B)), *"\u00a0\u202f\u205f\u3000")),
    *((dash, "-") for dash in "\u00ad\u2010\u2011\u2012\u2013\u2212\u30fc\ufe63\uff70"),
    *((slash, "/") for slash in "\u2044\u2215"),
    *(("\ufe62", "+"), ("\ufe6b", "@")),
    *((chr(ord(plain) + 0xFEE0), plain) for plain in "+()-./@0123456789"),
)
MOMENTS_BEGIN = frozenset({"15", "16", "17", "18", "20"})  # seconds since 1970 from 2017 to 2030, and years
_ODD = re.compile(f"[{''.join(odd for odd, _ in _PLAIN)}]")
_HIDING = re.compile(f"[{''.join(sorted(UNSEEN - {chr(0xAD)}))}]+")
DOUBTS = 500  # lookalikes in the texts of one event that are looked at closely; of more, all count as the real thing


@dataclass(slots=True)
class Suspicions:
    """How many lookalikes, and characters around them, may still be looked at closely: texts that come together share
    it."""

    left: int = DOUBTS
    characters: int = 64 * DOUBTS


@dataclass(frozen=True, slots=True)
class Pattern:
    """`suspects`: of many texts, quick to find; nothing matches in any other. `unlike`: what is blurred first, for it
    only looks alike. `real` sorts out other lookalikes: how many characters of what was found are it, from the first
    on; 0 for none."""

    regex: re.Pattern[str]
    suspects: Callable[[Sketch], Set[int]]
    real: Callable[[str], int] = len
    unlike: tuple[re.Pattern[str], ...] = ()

    def spans(self, text: str, doubts: Suspicions | None = None) -> Iterator[tuple[int, int]]:
        """Return where it is, first to last."""
        text, at, doubts = _plain(text), 0, doubts or Suspicions()
        if self.unlike:
            text, looked_at = blurred(text, self.regex, self.unlike, doubts.characters)
            doubts.characters -= looked_at
        while found := self.regex.search(text, at):
            size = self.real(found.group()) if doubts.left > 0 else len(found.group())
            at = found.start() + (size or 1)
            doubts.left -= not size
            if size:
                yield found.start(), at

    def replaced(self, text: str, by: str, doubts: Suspicions | None = None) -> str:
        """Return the text with `by` in all these places."""
        if not self.suspects(Sketch([text])):
            return text
        parts, at = [], 0
        for start, end in self.spans(text, doubts):
            parts += [text[at:start], by]
            at = end
        return "".join([*parts, text[at:]]) if parts else text


def seen(text: str) -> str:
    """Return the text without the marks of no width that hide what is private, as in an address copied from a page.

    >>> seen("4111\u200b1111\u200b1111\u200b1111")
    '4111111111111111'
    """
    return text if text.isascii() or UNSEEN.isdisjoint(text) else _HIDING.sub(_kept, text)


def _kept(marks: re.Match[str]) -> str:
    """Nothing of marks between two characters of ASCII; emoji and scripts need theirs."""
    text, (start, end) = marks.string, marks.span()
    within = start > 0 and end < len(text) and text[start - 1].isascii() and text[end].isascii()
    return "" if within else marks.group()


def _plain(text: str) -> str:
    """Return the text as the patterns know it, as long as it was."""
    if not text.isascii() and _ODD.search(text):
        for odd, plain in _PLAIN:
            text = text.replace(odd, plain)
    return text


def card(text: str) -> int:
    """Return the characters that are a card number: the longest start with a right check digit (Luhn).

    >>> card("4111 1111 1111 1111 12"), card("4111 1111 1111 1112")
    (19, 0)
    """
    places = [i for i, c in enumerate(text) if c.isdigit()]
    numbers = [int(text[i]) for i in places]
    begin = "".join(map(str, numbers[:2]))
    sums = [list(accumulate(_doubled(n) if i % 2 == odd else n for i, n in enumerate(numbers))) for odd in (0, 1)]
    right = [n for n in range(13, len(numbers) + 1) if sums[n % 2][n - 1] % 10 == 0 and _issued(begin, n)]
    ends = [places[n - 1] + 1 for n in right]
    return max((end for end in ends if _ended(text, end)), default=0)


def iban(text: str) -> int:
    """Return the characters that are an account number: the longest start with right check digits (ISO 13616).

    >>> iban("BE68 5390 0754 7034 please"), iban("BE67 5390 0754 7034 please")
    (19, 0)
    """
    ends = [end for end in range(15, len(text) + 1) if _ended(text, end)]
    return max((end for end in ends if _right(text[:end])), default=0)


def _issued(begin: str, size: int) -> bool:
    """Check whether an issuer has cards with numbers of this size that begin so (ISO/IEC 7812): with 13 or 14 digits
    moments (20260501123000, milliseconds since 1970) and bar codes are frequent, with 16 or more finer moments."""
    return begin[0] in "3456" if size < 15 else begin not in MOMENTS_BEGIN or size == 15


def _right(text: str) -> bool:
    plain = "".join(text.split()).upper()
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _doubled(number: int) -> int:
    return number * 2 - 9 * (number > 4)


def _ended(text: str, at: int) -> bool:
    return not text[at : at + 1].isalnum() and text[at - 1].isalnum()


_KEY = r"\b(?:sk|pk|rk|ghp|gho|ghs|github_pat|glpat|xox[abprs])[-_][A-Za-z0-9_-]{16}"
SECRETS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    rf"|{_KEY}[A-Za-z0-9_-]*"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|(?<![\w-])(?=[\w-]*eyJ)[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"
    r"|(?i:\bbearer\s+)[\w.~+/-]{16,}=*"
)
_EMAIL = r"[\w.+%\u0300-\u036f-]+@[\w-]+(?:\.[\w-]+)+"
_PHONE = (
    r"(?<![\w.-])(?:(?:\+|00|\(?0)\d(?:[ ()./-]{0,2}\d){7,13}"
    r"|(?:1[ .-])?(?:\d{3}[.-]|\(\d{3}\) ?)\d{3}[ .-]\d{4})(?![\w-])"
)


class Sketch:
    """Many texts as the bytes of one, a zero byte between them, and one byte for each kind of byte: as quick to look
    through as anything can be here."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts = [_plain(text) for text in texts]
        whole = "\0".join(texts)
        if whole.count("\0") >= max(len(texts), 1):  # no pattern knows zero bytes: any other will do
            whole = "\0".join(text.replace("\0", "\1") for text in texts)
        self.ascii = whole.isascii()
        self.data = whole.encode(errors="replace")

    def holding(self, needle: bytes, kinds: bytes | None = None, without: bytes = b"") -> list[int]:
        """Return the texts that hold the needle, of the kinds of their bytes where a table of them is given."""
        data = self.data if kinds is None else self.data.translate(kinds, without)
        found: list[int] = []
        text, seen, at = 0, 0, data.find(needle)
        while at >= 0:
            text += data.count(b"\0", seen, at)
            found.append(text)
            seen = data.find(b"\0", at)
            at = data.find(needle, seen) if seen >= 0 else -1
        return found

    def far(self) -> list[int]:
        """Return the texts with other digits than ours."""
        if self.ascii or b"n" not in self.data.translate(_FAR):
            return []
        return [i for i, text in enumerate(self.texts) if not text.isascii() and _far_digit.search(text)]


def _kinds(gap: int = 0, **kinds: str) -> bytes:
    table = bytearray(b"." * 256)
    table[0] = gap
    for kind, members in kinds.items():
        for member in members.encode():
            table[member] = ord(kind)
    return bytes(table)


_TOKENS = _kinds(ord("."), x=ascii_letters + digits + "-_")
_DIGITS = _kinds(x=ascii_letters, n=digits)
_FAR = bytes(ord("n" if byte in b"\xd9\xdb\xdf\xe0\xe1\xea\xef\xf0" else ".") for byte in range(256))
_key = re.compile(rf"{_KEY}|AKIA".encode())
_LOWER = bytes(range(256)).lower()
_call = re.compile(r"[+0]\d(?:[ ()./-]{0,2}\d){7}|\d{3}[.)-] ?\d{3}[ .-]\d{4}")
_far_digit = re.compile(r"(?![0-9])\d")


def _secrets(sketch: Sketch) -> set[int]:
    named = (sketch.holding(sign) for sign in (b"eyJ", b"-----BEGIN "))
    return {*chain.from_iterable(named), *sketch.holding(b"bearer", _LOWER), *_keys(sketch)}


def _keys(sketch: Sketch) -> Iterator[int]:
    """Return the texts with what looks like a key: runs of its characters are looked at alone."""
    kinds = sketch.data.translate(_TOKENS) + b"."
    text, seen, at = 0, 0, kinds.find(b"x" * 17)
    while at >= 0:
        text += sketch.data.count(b"\0", seen, at)
        seen = kinds.find(b".", at)
        if _key.search(sketch.data, at, seen):
            yield text
        at = kinds.find(b"x" * 17, seen)


def _emails(sketch: Sketch) -> set[int]:
    return {*sketch.holding(b"@")}


def _ibans(sketch: Sketch) -> set[int]:
    return {*sketch.holding(b"xxnn", _DIGITS), *sketch.far()}


def _cards(sketch: Sketch) -> set[int]:
    return {*sketch.holding(b"n" * 13, _DIGITS, b" -"), *sketch.far()}


def _phones(sketch: Sketch) -> set[int]:
    short = {*sketch.holding(b"n" * 8, _DIGITS, b" ()./-")}
    if short:
        short = {*sketch.holding(b"n" * 9, _DIGITS, b" ()./-"), *(short & {*sketch.holding(b"+")})}
    return {i for i in (*short, *sketch.far()) if _call.search(sketch.texts[i])}


PATTERNS: dict[str, Pattern] = {  # in the order of their use
    "secret": Pattern(re.compile(SECRETS, re.DOTALL), _secrets),
    "email": Pattern(re.compile(rf"(?<![\w.+%\u0300-\u036f-]){_EMAIL}(?:[.+%]{_EMAIL})*"), _emails),
    "iban": Pattern(re.compile(r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b"), _ibans, iban),
    "card": Pattern(re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])"), _cards, card, MOMENTS),
    "phone": Pattern(re.compile(_PHONE), _phones, len, ALL),
}
PLACEHOLDERS = {kind: f"[{kind}]" for kind in PATTERNS}


def mask(text: str) -> str:
    """Return the text without anything private, whatever the kind.

    >>> mask("alias is 'ann@example.org'")
    "alias is '[email]'"
    """
    text = seen(text)
    for kind, pattern in PATTERNS.items():
        text = pattern.replaced(text, PLACEHOLDERS[kind])
    return text


def found(texts: Sequence[str]) -> list[bool]:
    """Return which texts hold personal data or a secret, or did before they were masked.

    >>> found(["Where is my card?", "I am ann@example.org", "I am [email]"])
    [False, True, True]
    """
    texts = [seen(text) for text in texts]
    sketch = Sketch(texts)
    marked = {i for place in PLACEHOLDERS.values() for i in sketch.holding(place.encode())}
    for pattern in PATTERNS.values():
        marked |= {i for i in pattern.suspects(sketch) - marked if any(True for _ in pattern.spans(texts[i]))}
    return [i in marked for i in range(len(texts))]
