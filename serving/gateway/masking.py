"""Personal data and secrets, taken out of texts before they leave the process.

Patterns are a net with known holes (names and addresses pass); what they catch is replaced by its kind, so that a
reader still sees that something was there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

Holds = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Pattern:
    """`hint`: quick to tell, and nothing matches where it does not hold. `holds` sorts out lookalikes."""

    regex: re.Pattern[str]
    hint: Holds
    holds: Holds = lambda found: True


def luhn(number: str) -> bool:
    """Whether a card number's check digit is right.

    >>> luhn("4111 1111 1111 1111"), luhn("4111 1111 1111 1112")
    (True, False)
    """
    digits = [int(c) for c in number if c.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) if i % 2 else digit for i, digit in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0


def iban(text: str) -> bool:
    """Whether an account number's check digits are right (ISO 13616).

    >>> iban("DE89 3704 0044 0532 0130 00"), iban("DE88 3704 0044 0532 0130 00")
    (True, False)
    """
    plain = "".join(text.split()).upper()
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


SECRETS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:sk|pk|rk|ghp|gho|ghs|github_pat|glpat|xox[abprs])[-_][A-Za-z0-9_-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"
    r"|(?i:\bbearer\s+)[\w.~+/-]{16,}=*"
)
SIGNS = ("sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "gh", "glpat", "xox", "AKIA", "eyJ", "PRIVATE KEY")
_digit = re.compile(r"\d")


def at_sign(text: str) -> bool:
    return "@" in text


def digit(text: str) -> bool:
    return _digit.search(text) is not None


def secret_sign(text: str) -> bool:
    for sign in SIGNS:  # a generator would take longer than all the searching
        if sign in text:
            return True
    return "bearer" in text.lower()


PATTERNS: dict[str, Pattern] = {  # in the order of their use
    "secret": Pattern(re.compile(SECRETS, re.DOTALL), secret_sign),
    "email": Pattern(re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"), at_sign),
    "iban": Pattern(re.compile(r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b"), digit, iban),
    "card": Pattern(re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])"), digit, luhn),
    "phone": Pattern(re.compile(r"(?<![\w.-])(?:\+|00|\(?0)\d(?:[ ()./-]{0,2}\d){7,13}(?![\w-])"), digit),
}


class Masker:
    """Replaces what the kinds named find, as in `[email]`. Raises KeyError for an unknown kind.

    >>> Masker(["email"])("write to ann@example.org")
    'write to [email]'
    """

    def __init__(self, kinds: Iterable[str]) -> None:
        wanted = frozenset(kinds)
        if strange := wanted - PATTERNS.keys():
            raise KeyError(f"mask: {', '.join(sorted(strange))}; expected kinds among {', '.join(PATTERNS)}")
        self._patterns = [(f"[{kind}]", pattern) for kind, pattern in PATTERNS.items() if kind in wanted]

    def __call__(self, text: str) -> str:
        for name, pattern in self._patterns:
            if not pattern.hint(text):
                continue
            text = pattern.regex.sub(partial(_masked, name, pattern.holds), text)
        return text


def _masked(name: str, holds: Holds, found: re.Match[str]) -> str:
    return name if holds(found.group()) else found.group()
