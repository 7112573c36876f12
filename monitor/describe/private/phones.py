"""Telephone numbers: international ones, national ones that begin with 0, groups that only telephone numbers have, and
any digits behind a word that announces one.

A surrogate begins with 000, as no number does in any country: numbers for fiction are too few to tell people apart, and
they are what people write in examples."""

from __future__ import annotations

import re

from monitor.describe.private.characters import SIGN, ascii_digits

MADE = "000"
KEEPS_ZERO = frozenset({"39", "378", "225", "242"})  # where a 0 at the begin is part of the number
TRUNK = {"7": "8", "1": "1", "36": "06", "370": "0"}  # where another digit than 0 is dialled first
SUBSCRIBER = 10  # digits of a number in a country where that digit may begin one, too
_GAP = r"[ ()./-]{0,3}"
_CUES = (
    r"(?:tlf|ph|mob|tel(?:efon[a-z]{0,6}|ephone|\u00e9fono|\u00e9phone|efone)?|phone|mobile?|m\u00f3vil|handy|cell(?:ulare?)?"
    r"|celular|portable|fax|whats ?app|sms|call|ring|dial|text me|anrufen?|r\u00fcckruf|appelez"
    r"|ll[a\u00e1]m[ae][a-z]{0,3}|ligue|chiama(?:re|mi)?|rufnummer"
    r"|\u0442\u0435\u043b(?:\u0435\u0444\u043e\u043d)?|\u7535\u8bdd|\u96fb\u8a71|\u624b\u673a|\u643a\u5e2f)"
)
CUES = (  # one of which is in each text that has such a word
    *("tel", "tlf", "ph.", "ph:", "ph ", "mob", "phone", "mobil", "m\u00f3vil", "handy", "cell", "celular"),
    *("portable", "fax", "whats", "sms", "call", "ring", "dial", "text me", "anruf", "r\u00fcckruf", "appelez"),
    *("llam", "ll\u00e1m", "ligue", "chiama", "rufnummer", "\u0442\u0435\u043b", "\u7535\u8bdd", "\u96fb\u8a71"),
    *("\u624b\u673a", "\u643a\u5e2f"),
)
_LINKS = (
    r"(?:(?:me|meg|mig|mich|moi|us|him|her|them|at|on|is|was|number|num|no|nr|nummer|num\u00e9ro|n\u00famero|numero|under|unter|au|al|en"
    r"|the|my|our|est|es|ist|:|#)[ .:#=-]{1,3}){0,4}"
)
_NUMBER = (
    rf"(?:\+ ?\(?|\(?0(?:\)|[ ]?\()?|00 ?)\d(?:{_GAP}\d){{7,13}}"
    r"|(?:1[ .-]?)?(?:\d{3}[.-]|\(\d{3}\)[ .-]?)\d{3}[ .-]\d{4}"
    r"|(?:1[ .-])?(?![2-4]00)[2-9]\d{2} [2-9]\d{2} \d{4}"
    r"|8[ -]?\(\d{3}\) ?\d{3}[ -]?\d{2}[ -]?\d{2}|8 \d{3} \d{3}[ -]\d{2}[ -]\d{2}|8-\d{3}-\d{3}-\d{2}-\d{2}"
    rf"|0[ -]\(?00\d(?:{_GAP}\d){{7}}"
    r"|\(\d{2}\) ?9?\d{4}[ -]\d{4}"
    r"|(?<==)\+\d{1,3}(?:\+\d{2,10}){1,4}"  # as links have it
    r"|1[3-9]\d (?:\d{4}) \d{4}|1[3-9]\d-\d{4}-\d{4}"
)
_END = rf"(?![{SIGN}]|-[{SIGN}]|[ ()./-]{{0,2}}[0-9])"
_CUED = rf"(?<![{SIGN}]){_CUES}[ .:#=/()-]{{1,3}}{_LINKS}(\(?\d(?:[ ()./-]{{0,2}}\d){{6,13}}){_END}"
_BARE = rf"(?<![{SIGN}_.-])(?!0(?:{_GAP}0){{8}})({_NUMBER})(?:(?![{SIGN}]|-[{SIGN}])|(?=x\d|ext))"
PHONE = re.compile(_BARE)
CUED = re.compile(_CUED, re.IGNORECASE)  # begins with one of CUES
LIKELY = re.compile(
    rf"[+0]{_GAP}\d(?:{_GAP}\d){{6}}|\d{{3}}[.) -]{{1,2}}\d{{3}}[ .-]\d{{4}}"
    r"|=\+\d{1,3}\+\d|8[ -]?\(\d{3}|8([ -])\d{3}\1\d{3}[ -]|1[3-9]\d([ -])\d{4}\2\d|\(\d\d\)"
)


def canonical(text: str, country: str = "") -> str:
    """Return the number that is meant, however it is written. `country`: the code of the one that a number without any
    belongs to; without it such a number stays as it is, but for those of ten digits as North America has them.

    >>> canonical("+49 (0)171 234-5678"), canonical("0049 171 2345678"), canonical("1-415-555-2671")
    ('+491712345678', '+491712345678', '+14155552671')
    >>> canonical("0171 2345678", "49"), canonical("06 1234 5678", "39"), canonical("8 (916) 123-45-67", "7")
    ('+491712345678', '+390612345678', '+79161234567')
    """
    number = ascii_digits(text.replace("(0)", "", 1) if text.lstrip().startswith(("+", "00")) else text)
    if text.lstrip("( ").startswith("+"):
        return f"+{number}"
    if number.startswith("00") and not number.startswith(MADE):
        return f"+{number[2:]}"
    if country:
        return f"+{country}{_national(number, country)}"
    if len(number) == 11 and number[0] == "1" and number[1] in "23456789" and not text.startswith("1 3"):
        return f"+{number}"
    return f"+1{number}" if len(number) == 10 and number[0] in "23456789" else number


def _national(number: str, country: str) -> str:
    """Return a number without the digit that only callers within the country dial first."""
    if country in KEEPS_ZERO:
        return number
    trunk = TRUNK.get(country, "0")
    return number.removeprefix(trunk) if trunk == "0" or len(number) > SUBSCRIBER else number


def is_made(text: str) -> bool:
    """Return whether a number is a surrogate."""
    return ascii_digits(text).startswith(MADE)
