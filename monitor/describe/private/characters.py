"""One form of blanks, dashes and digits for the patterns, character by character, so that a place stays where it is."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from string import ascii_letters, digits

from monitor.characters import UNSEEN

SIGN = r"A-Za-z\u00c0-\u052f\d"  # of words with gaps between them; Chinese and Japanese have none
_BETWEEN = "\u2014\u2015\u2e3a\u2e3b"  # dashes that part sentences, unless digits are on both sides
_DASHES = "\u00ad\u2043\u2212\u30fb\u30fc\uff70\uff65"  # that Unicode has among other signs
_SPACES = "\t\r\x0b\x0c\x85\u2028\u2029\u2800"  # besides those of the category; the last is Braille without a dot
_OTHERS = dict.fromkeys(_SPACES, " ") | {"\u2044": "/", "\u2215": "/", "\ufe62": "+", "\ufe6b": "@", "\uff3f": "_"}
_ASCII_SPACES = dict.fromkeys(map(ord, "\t\r\x0b\x0c"), " ")
_BULLETS = frozenset("\u2043\u30fb\uff65\u00b7\u2022\u2027")
_HIDING = re.compile(f"[{''.join(sorted(UNSEEN - {chr(0xAD)}))}]+")


@cache
def _plain_forms() -> dict[str, str]:
    """Return the forms of all blanks that break no line, of all dashes, of digits of nearly every script, of
    full-width letters."""
    forms = {chr(ord(each) + 0xFEE0): each for each in "+()-./@=:" + digits + ascii_letters}
    for code in range(0x80, 0x11000):
        category = unicodedata.category(chr(code))
        if category in ("Zs", "Pd"):
            forms.setdefault(chr(code), " " if category == "Zs" else "-")
        elif category == "Nd":
            forms[chr(code)] = str(unicodedata.decimal(chr(code)))
    return forms | dict.fromkeys(_DASHES, "-") | _OTHERS


@cache
def _between() -> re.Pattern[str]:
    return re.compile(rf"(?<=\d)[{_BETWEEN}{''.join(_BULLETS)}](?=\d)")


def plain(text: str) -> str:
    r"""Return the text as the patterns know it, as long as it was.

    >>> plain("4111\u20034111\u2e17x\t\uff11"), plain("call\u20140171\u20142345") == "call\u20140171-2345"
    ('4111 4111-x 1', True)
    """
    if text.isascii():
        return text.translate(_ASCII_SPACES) if any(each in text for each in "\t\r\x0b\x0c") else text
    forms = _plain_forms()
    between = {*_BETWEEN, *_BULLETS}
    signs = set(text)
    found = forms.keys() & signs
    for odd in found - between:
        text = text.replace(odd, forms[odd])
    return _between().sub("-", text) if signs & between else text


def seen(text: str) -> str:
    r"""Return the text without the marks of no width that hide what is private, as in an address copied from a page.

    >>> seen("4111\u200b1111\u200b1111\u200b1111")
    '4111111111111111'
    """
    return text if text.isascii() or UNSEEN.isdisjoint(text) else _HIDING.sub(_kept, text)


def _kept(marks: re.Match[str]) -> str:
    """Nothing of marks between two characters of ASCII; emoji and scripts need theirs."""
    text, (start, end) = marks.string, marks.span()
    within = start > 0 and end < len(text) and text[start - 1].isascii() and text[end].isascii()
    return "" if within else marks.group()


def ascii_digits(text: str) -> str:
    r"""Return the digits of a text, of any script, as ours.

    >>> ascii_digits("+49 (0)30-\u0661")
    '490301'
    """
    return "".join(each if "0" <= each <= "9" else str(int(each)) for each in text if each.isdecimal())
