"""What stands in the place of a private value: another one of its shape, by a keyed digest of what is meant.

A holder of the key makes the same surrogate of the same value, however it is written, without remembering anything;
without the key no guess can be tried. Each surrogate has a mark that no real value has, so that it is known for one:
it is masked no second time, and counts as found.

>>> hidden = Surrogates(b"a tenant's key")
>>> hidden("email", "Ann@Example.org") == hidden("email", "ann@example.org")
True
>>> hidden("card", "4111 1111 1111 1111")
'9999 3115 7071 4329'
>>> hidden("phone", "+49 171 2345678")
'+00 038 8188629'
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from monitor.describe.private import accounts, credentials, identities, phones
from monitor.describe.private.characters import ascii_digits

LETTERS = "bcdfghjklmnpqrstvwxz"  # without vowels there are no words
MAILBOX = 12  # letters of it
MADE_EMAIL = re.compile(rf"[{LETTERS}]{{{MAILBOX}}}@mail\.invalid")  # a domain that is nobody's (RFC 2606)
DIGITS = "0123456789"


@dataclass(frozen=True, slots=True, eq=False)
class Surrogates:
    """The surrogates under one key, of 64 bytes at most."""

    key: bytes

    def __call__(self, kind: str, value: str) -> str:
        """Return the surrogate of a value of this kind; a surrogate stays as it is. Raise KeyError for another kind."""
        made, canonical, shape = _KINDS[kind]
        return value if made(value) else shape(value, self._signs(kind, canonical(value)))

    def _signs(self, kind: str, meant: str) -> _Signs:
        text = f"{kind}\0{meant}".encode(errors="surrogatepass")
        return _Signs(int.from_bytes(hashlib.blake2b(text, key=self.key, person=b"surrogate").digest()))


@dataclass(slots=True)
class _Signs:
    """Signs drawn from a digest, one after the other: of 512 bits, for 118 letters."""

    left: int

    def of(self, alphabet: str) -> str:
        """Return the next one."""
        self.left, which = divmod(self.left, len(alphabet))
        return alphabet[which]

    def many(self, alphabet: str, count: int) -> str:
        """Return the next ones."""
        return "".join(self.of(alphabet) for _ in range(count))


def _email(value: str, signs: _Signs) -> str:
    return f"{signs.many(LETTERS, MAILBOX)}@mail.invalid"


def _card(value: str, signs: _Signs) -> str:
    size = len(ascii_digits(value))
    known = accounts.made_begin(size)
    begin = known + signs.many(DIGITS, size - len(known) - 1)
    return _laid_out(value, begin + str((accounts.WRONG_BY - accounts.luhn(begin + "0")) % 10))


def _account(value: str, signs: _Signs) -> str:
    plain = accounts.bare(value)
    body = "".join(signs.of(DIGITS if each.isdecimal() else LETTERS.upper()) for each in plain[4:])
    return _laid_out(value, accounts.made_account(plain[:2], body), str.isalnum)


def _phone(value: str, signs: _Signs) -> str:
    return _laid_out(value, phones.MADE + signs.many(DIGITS, len(ascii_digits(value)) - len(phones.MADE)))


def _secret(value: str, signs: _Signs) -> str:
    letters = signs.many(LETTERS, credentials.LETTERS)
    return f"{credentials.head(value)}{credentials.MARK}{letters}{credentials.tail(value)}"


def _laid_out(value: str, signs: str, is_place: Callable[[str], bool] = str.isdecimal) -> str:
    """Return the signs in the places of the value's own."""
    left: Iterator[str] = iter(signs)
    return "".join(next(left) if is_place(each) else each for each in value)


def _address(value: str) -> str:
    return unicodedata.normalize("NFKC", value).replace("%40", "@").replace("&#64;", "@").casefold()


_KINDS: dict[str, tuple[Callable[[str], bool], Callable[[str], str], Callable[[str, _Signs], str]]] = {
    "secret": (credentials.is_made, str.strip, _secret),
    "email": (lambda value: MADE_EMAIL.fullmatch(value) is not None, _address, _email),
    "iban": (accounts.is_made_account, accounts.bare, _account),
    "card": (lambda value: accounts.is_made_card(ascii_digits(value)), ascii_digits, _card),
    "phone": (phones.is_made, phones.canonical, _phone),
    "ip": (
        identities.is_made_address,
        identities.address,
        lambda value, signs: identities.made_address(value, signs.of),
    ),
    "id": (identities.is_made_number, identities.number, lambda value, signs: identities.made_number(value, signs.of)),
    "name": (identities.is_made_name, str.casefold, lambda value, signs: identities.made_name(value, signs.of)),
}
