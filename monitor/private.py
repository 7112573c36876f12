"""Personal data and secrets in texts: what is one, and where. The gateway masks by these patterns before an event
leaves it, and the monitor counts by the same ones, so the two agree.

The patterns are a net with known holes: names, postal addresses, and what is spelt out, encoded or split over two
messages pass. What a masker took out left its kind in brackets, as in `[email]`, and counts as found. Time is linear
in the text, whatever it is: nothing may begin within a run of characters that was looked at already."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from string import ascii_letters, digits

DOUBTS = 500  # lookalikes in one text that are looked at closely; where there are more, all count as the real thing


@dataclass(frozen=True, slots=True)
class Pattern:
    """`hint`: quick to tell, and nothing matches where it does not hold. `real` sorts out lookalikes: how many
    characters of what was found are it, from the first on; 0 for none."""

    regex: re.Pattern[str]
    hint: Callable[[str], bool]
    real: Callable[[str], int] = len

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where it is, first to last."""
        at, doubts = 0, 0
        while found := self.regex.search(text, at):
            size = self.real(found.group()) if doubts < DOUBTS else len(found.group())
            at = found.start() + (size or 1)
            doubts += not size
            if size:
                yield found.start(), at

    def replaced(self, text: str, by: str) -> str:
        """The text with `by` in all these places."""
        if not self.hint(text):
            return text
        parts, at = [], 0
        for start, end in self.spans(text):
            parts += [text[at:start], by]
            at = end
        return "".join([*parts, text[at:]]) if parts else text


def card(text: str) -> int:
    """The characters that are a card number: the longest start with a right check digit (Luhn).

    >>> card("4111 1111 1111 1111 12"), card("4111 1111 1111 1112")
    (19, 0)
    """
    places = [i for i, c in enumerate(text) if c.isdigit()]
    numbers = [int(text[i]) for i in places]
    sums = [list(accumulate(_doubled(n) if i % 2 == odd else n for i, n in enumerate(numbers))) for odd in (0, 1)]
    right = [n for n in range(13, len(numbers) + 1) if sums[n % 2][n - 1] % 10 == 0]
    ends = [places[n - 1] + 1 for n in right]
    return max((end for end in ends if _ended(text, end)), default=0)


def iban(text: str) -> int:
    """The characters that are an account number: the longest start with right check digits (ISO 13616).

    >>> iban("BE68 5390 0754 7034 please"), iban("BE67 5390 0754 7034 please")
    (19, 0)
    """
    ends = [end for end in range(15, len(text) + 1) if _ended(text, end)]
    return max((end for end in ends if _right(text[:end])), default=0)


def _right(text: str) -> bool:
    plain = "".join(text.split()).upper()
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _doubled(number: int) -> int:
    return number * 2 - 9 * (number > 4)


def _ended(text: str, at: int) -> bool:
    return not text[at : at + 1].isalnum() and text[at - 1].isalnum()


SECRETS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:sk|pk|rk|ghp|gho|ghs|github_pat|glpat|xox[abprs])[-_][A-Za-z0-9_-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|(?<![\w-])(?=[\w-]*eyJ)[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"
    r"|(?i:\bbearer\s+)[\w.~+/-]{16,}=*"
)
_EMAIL = r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"
_PHONE = (
    r"(?<![\w.-])(?:(?:\+|00|\(?0)\d(?:[ ()./-]{0,2}\d){7,13}"
    r"|(?:1[ .-])?(?:\d{3}[.-]|\(\d{3}\) ?)\d{3}[ .-]\d{4})(?![\w-])"
)


# Hints look at a sketch of the text, its bytes with one for each kind of them: as quick as anything can be here.


def _sketch(**kinds: str) -> bytes:
    table = bytearray(b"." * 256)
    for kind, members in kinds.items():
        for member in members.encode():
            table[member] = ord(kind)
    return bytes(table)


_TOKENS = _sketch(x=ascii_letters + digits + "-_")
_DIGITS = _sketch(x=ascii_letters, n=digits)
_FAR = bytes(ord("n" if byte in b"\xd9\xdb\xdf\xe0\xe1\xea\xef\xf0" else ".") for byte in range(256))
_token = re.compile(r"[-_][A-Za-z0-9_-]{16}|AKIA")
_call = re.compile(r"[+0]\d(?:[ ()./-]{0,2}\d){7}|\d{3}[.)-] ?\d{3}[ .-]\d{4}")
_far_digit = re.compile(r"(?![0-9])\d")


def _secret(text: str) -> bool:
    data = text.encode(errors="replace")
    if "eyJ" in text or "-----BEGIN " in text or b"bearer" in data.lower():
        return True
    return b"x" * 17 in data.translate(_TOKENS) and _token.search(text) is not None


def _email(text: str) -> bool:
    return "@" in text


def _iban(text: str) -> bool:
    return b"xxnn" in text.encode(errors="replace").translate(_DIGITS) or _far(text)


def _card(text: str) -> bool:
    return b"n" * 13 in text.encode(errors="replace").translate(_DIGITS, b" -") or _far(text)


def _phone(text: str) -> bool:
    sketch = text.encode(errors="replace").translate(_DIGITS, b" ()./-")
    return (b"n" * 9 in sketch or (b"n" * 8 in sketch and "+" in text) or _far(text)) and _call.search(text) is not None


def _far(text: str) -> bool:
    """Whether it has other digits than ours."""
    if text.isascii() or b"n" not in text.encode(errors="replace").translate(_FAR):
        return False
    return _far_digit.search(text) is not None


PATTERNS: dict[str, Pattern] = {  # in the order of their use
    "secret": Pattern(re.compile(SECRETS, re.DOTALL), _secret),
    "email": Pattern(re.compile(rf"(?<![\w.+%-]){_EMAIL}(?:[.+%]{_EMAIL})*"), _email),
    "iban": Pattern(re.compile(r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b"), _iban, iban),
    "card": Pattern(re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])"), _card, card),
    "phone": Pattern(re.compile(_PHONE), _phone),
}
PLACEHOLDERS = {kind: f"[{kind}]" for kind in PATTERNS}


def mask(text: str) -> str:
    """The text without anything private, whatever the kind.

    >>> mask("alias is 'ann@example.org'")
    "alias is '[email]'"
    """
    for kind, pattern in PATTERNS.items():
        text = pattern.replaced(text, PLACEHOLDERS[kind])
    return text


def found(texts: Sequence[str]) -> list[bool]:
    """Which texts hold personal data or a secret, or did before they were masked.

    >>> found(["Where is my card?", "I am ann@example.org", "I am [email]"])
    [False, True, True]
    """
    whole = "\0".join(texts)  # most batches lack most signs: that is quicker to tell of all texts at once
    masked = [place for place in PLACEHOLDERS.values() if place in whole]
    looked_for = [pattern for pattern in PATTERNS.values() if pattern.hint(whole)]
    if not masked and not looked_for:
        return [False] * len(texts)
    return [any(place in text for place in masked) or _holds(text, looked_for) for text in texts]


def _holds(text: str, patterns: Sequence[Pattern]) -> bool:
    return any(pattern.hint(text) and any(True for _ in pattern.spans(text)) for pattern in patterns)
