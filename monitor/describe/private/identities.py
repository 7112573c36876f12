"""Addresses on networks, numbers by which states know people, and people's names: what stands in their place.

Surrogates have marks that no real one has: an address begins with 240. (no network may use it, RFC 1112) or with 100::
(discarded everywhere, RFC 6666), a state's number with three zeros, and a name has no vowels."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from monitor.describe.private.characters import ascii_digits

MADE_V4, MADE_V6, MADE_NUMBER = "240.", "100::", "000"
CONSONANTS = "bcdfghjklmnpqrstvwxz"
DIGITS = "0123456789"
Sign = Callable[[str], str]  # the next sign of an alphabet


def address(value: str) -> str:
    """Return the address that is meant, however it is written.

    >>> address("2001:0DB8::0001"), address(" 192.0.2.7")
    ('2001:db8::1', '192.0.2.7')
    """
    try:
        return str(ipaddress.ip_address(value.strip()))
    except ValueError:
        return value.strip().casefold()


def is_made_address(value: str) -> bool:
    """Return whether it is a surrogate."""
    return value.strip().startswith((MADE_V4, MADE_V6))


def made_address(value: str, sign: Sign) -> str:
    """Return the surrogate of an address."""
    if ":" in value:
        return MADE_V6 + ":".join("".join(sign("123456789abcdef") for _ in range(4)) for _ in range(4))
    return MADE_V4 + ".".join(str(1 + int(sign(DIGITS)) + 10 * int(sign(DIGITS))) for _ in range(3))


def number(value: str) -> str:
    """Return a state's number in one form.

    >>> number("ab 12-34 56 c")
    'AB123456C'
    """
    return "".join(each for each in value if each.isalnum()).upper()


def is_made_number(value: str) -> bool:
    """Return whether it is a surrogate."""
    return ascii_digits(value).startswith(MADE_NUMBER)


def made_number(value: str, sign: Sign) -> str:
    """Return the surrogate of a state's number: digits and letters where it has them."""
    found, digits = [], 0
    for each in value:
        if each.isdecimal():
            found.append("0" if digits < len(MADE_NUMBER) else sign(DIGITS))
            digits += 1
        else:
            found.append(sign(CONSONANTS.upper()) if each.isalpha() else each)
    return "".join(found)


def is_made_name(value: str) -> bool:
    """Return whether it is a surrogate."""
    return all(each in CONSONANTS for each in value.casefold() if each.isalpha())


def made_name(value: str, sign: Sign) -> str:
    """Return the surrogate of a person's name, as many words of such letters.

    >>> made_name("Ann O'Lee", lambda signs: signs[0])
    "Bbb B'Bbb"
    """
    return "".join(_cased(each, sign(CONSONANTS)) if each.isalpha() else each for each in value)


def _cased(like: str, sign: str) -> str:
    return sign.upper() if like.isupper() else sign
