"""Dates, times, prices, addresses and numbers of things: digits that look like a phone or a card and are none.

They are blurred: each character becomes one that no pattern knows, so that what is left stands where it stood."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

Matches = Callable[[str], Iterator[re.Match[str]]]  # in a text, the first one first
BLUR = "\1"
NEAR = 40  # characters before and after

_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12][0-9]|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)[0-9][0-9]"
_HOUR, _SIXTY = r"(?:[01]?[0-9]|2[0-4])", r"[0-5][0-9]"
_BEGIN = r"(?<!\w)(?<![0-9][./-])"
_END = r"(?![0-9]|[./-][0-9])"
_TO = r" ?[/\u2010-\u2015-] ?"
_ZONE = r"(?: ?(?:UTC|GMT)?[+-](?:0[0-9]|1[0-4]):?[0-5][0-9](?![ ./-]?[0-9])|Z\b)?"
_TIME = rf"{_HOUR}[:h]{_SIXTY}(?::{_SIXTY}(?:[.,][0-9]{{1,9}})?)?{_ZONE}"
_DATES = (
    *(rf"{_YEAR}{sep}{_MONTH}{sep}{_DAY}" for sep in (r"\.", "/", "-")),
    *(rf"{_DAY}{sep} ?{_MONTH}{sep} ?(?:{_YEAR}|[0-9][0-9])" for sep in (r"\.", "/", "-")),
    *(rf"{_MONTH}{sep} ?{_DAY}{sep} ?(?:{_YEAR}|[0-9][0-9])" for sep in ("/", "-")),
    rf"{_MONTH}[./-]{_YEAR}",
)
_DATE = rf"(?:{'|'.join(_DATES)})(?![0-9])"
_FROM = rf"(?:{_DAY}[./-]?(?:{_MONTH}\.?)?{_TO})?"  # the half of a date in front of a whole one
_MOMENT = rf"{_BEGIN}{_FROM}{_DATE}(?:{_TO}{_DATE}){{0,2}}(?:[ T,/-]{{1,2}}{_TIME})?{_END}|{_BEGIN}{_TIME}(?![0-9])"
_CLOCK = rf"{_HOUR}\.{_SIXTY}"
_OCTET = r"(?:[01][0-9][0-9]|2[0-4][0-9]|25[0-5])"
_MONEY = r"(?:[\u20ac$\u00a3\u00a5%]|\b(?:EUR|USD|GBP|CHF|JPY|CAD|AUD|SEK|NOK|DKK|PLN|INR)\b)"
_AMOUNT = r"(?!(?:0|\+)[0-9]+ )[+-]?[0-9]{1,3}(?:[.,' ][0-9]{3}(?![0-9]))*(?:[.,][0-9]{1,2})?"
_THING = (
    r"(?:order|ticket|invoice|case|ref(?:erence)?|serial|item|article|sku|isbn|ean|gtin|upc|tracking|transaction"
    r"|contract|booking|reservation|confirmation|parcel|shipment|batch|build|version|part|model|product|asset|device"
    r"|commande|facture|pedido|factura"
    r"|bestell(?:ung)?|auftrag|rechnung|vertrag|sendung|artikel|bestelling|ordine|ordre|best\u00e4llning|tilaus"
    r"|zam\u00f3wieni[ea]|objedn\u00e1vk[ay]|rendel\u00e9s|sipari\u015f|encomenda|paket|\u0111\u01a1n h\u00e0ng"
    r"|\u0437\u0430\u043a\u0430\u0437[\u0430-\u044f]{0,2}|\u0437\u0430\u044f\u0432\u043a[\u0430-\u044f]"  # Russian
    r"|\u043f\u043e\u0441\u044b\u043b\u043a[\u0430-\u044f]|\u0437\u0430\u043c\u043e\u0432\u043b\u0435\u043d\u043d\u044f"
    r"|\u03c0\u03b1\u03c1\u03b1\u03b3\u03b3\u03b5\u03bb\u03af\u03b1|\u05d4\u05d6\u05de\u05e0\u05d4)"
)
_NUMBER = r"(?:number|num|no\.?|nr\.?|nummer|numer|code|id|#|\u2116)"
_FAR_THING = (  # of scripts that have no gaps
    r"(?:[\u8ba2\u8a02][\u5355\u55ae][\u53f7\u865f]?|[\u5feb\u8fd0]\u9012?[\u5355\u55ae]\u53f7|\u7f16\u53f7"
    r"|\u6ce8\u6587\u756a\u53f7|\u4f1d\u7968\u756a\u53f7|\uc8fc\ubb38 ?\ubc88\ud638|\uc1a1\uc7a5 ?\ubc88\ud638)"
)
_CALLED = (  # parts of a path behind which a telephone number may stand
    r"(?i:t[e\u00e9]l\w{0,6}|phones?|mob\w{0,4}|m\u00f3vil|cell\w{0,5}|call|dial|fax|sms|whatsapp|wa\.me|contacts?"
    r"|kontakte?|users?|customers?|clients?|people|members?|handy|numbers?|nummer)"
)
_PATH = rf"/(?!{_CALLED}/)[A-Za-z_][\w.-]{{0,64}}/[0-9]+(?![0-9]|[ ()./-]{{0,2}}[0-9])"
_SHAPES = (
    rf"{_BEGIN}{_CLOCK}{_TO}{_CLOCK}{_END}",
    rf"{_BEGIN}[0-9]{{1,3}}\.[0-9]{{1,2}}(?: [0-9]{{1,3}}\.[0-9]{{1,2}}){{1,99}}{_END}",  # a list of them, or of prices
    rf"{_BEGIN}{_OCTET}(?:\.{_OCTET}){{3}}{_END}",
    r"(?<![\w.,/-])[+-]?0,[0-9]+(?![ ()./-]{0,2}[0-9])",
    rf"{_BEGIN}{_DAY} {_MONTH} {_YEAR} {_HOUR} {_SIXTY}(?![ ./-]?[0-9])",
    rf"{_BEGIN}[0-9]{{2}}(?:-[0-9]{{2}}){{5}}{_END}",  # a network card
    r"\b[A-Z]{2} 0[0-9]{4}-[0-9]{4}(?![0-9]|[ ./-][0-9])",  # a postal code behind its state
    rf"{_MONEY} ?(?:0,[0-9]+|{_AMOUNT})(?![ ./-]?[0-9])",
    rf"(?<![\w.-]){_AMOUNT} ?{_MONEY}",
    r"(?<![\w.-])[+-]?[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+",
    r"\+[0-9]{1,3}(?:[. ][0-9]{3}){0,4}(?:[. ]000){2}(?![ ()./-]{0,2}[0-9])",
    rf"{_PATH}|(?<=[\w:])\\[A-Za-z_][\w.-]{{0,64}}\\[0-9]+(?=\\)",
    rf"(?<![\w/])(?!{_CALLED}/)[a-z_][a-z0-9_.-]{{0,64}}/[0-9]+/[\w-]{{1,64}}\.[a-z]",
    rf"(?<![\w-])(?!{_CALLED}[_-])(?:[a-z]{{1,20}}[_-])?ids?[\"']? ?[:=] ?[\"']?[0-9]+(?![ ()./-]{{0,2}}[0-9]|\w)",
    r"[?&](?:[a-z_-]{0,32}[_-])?(?:id|item|page|ref|order|ticket|sku|v)=[0-9]+(?![0-9]|[ ()./-]{0,2}[0-9])",
    r"\+(?:0\.(?!00[0-9]{8})[0-9]+|[0-9]{1,3}\.[0-9]{4,7})(?![ ()./-]{0,2}[0-9])",  # coordinates
)
_NAMED = (
    rf"(?:{_FAR_THING}|\b(?:{_THING}[ _-]?s?{_NUMBER}?|(?:kunden|customer ){_NUMBER})|#)"
    r"[ :=#/]{0,3}[0-9]+(?:-[0-9]+){0,9}(?![ ./-]?[0-9]|\w)"
)
_SUM = r"(?<![\w+])[0-9]+(?:\+[0-9]+){1,99} ?="
MOMENTS = (re.compile(f"{_MOMENT}|{_SUM}"),)
ALL = (*MOMENTS, re.compile("|".join(_SHAPES)), re.compile(_NAMED, re.IGNORECASE))


def blurred(text: str, around: Matches, rules: Iterable[re.Pattern[str]], most: int) -> tuple[str, int]:
    """Return the text without what the rules find near what `around` finds, and how many characters were looked at:
    `most` at most. What is farther on stays as it is.

    >>> phone = re.compile("0[0-9 .]{8,}[0-9]")
    >>> blurred("0171 2345678, on 01.05.2026 12:30", phone.finditer, MOMENTS, 999)[0].replace(BLUR, "_")
    '0171 2345678, on ________________'
    """
    if not any(True for _ in around(text)):
        return text, 0
    windows = list(_windows(text, around, most))
    for rule in rules:
        if any(True for _ in around(text)):
            text = hidden(text, [at.span() for window in windows for at in rule.finditer(text, *window)])
    return text, sum(end - start for start, end in windows)


def _windows(text: str, around: Matches, most: int) -> Iterator[tuple[int, int]]:
    """Return places one after the other, with a gap between, of so many characters at most."""
    start = end = 0
    for found in around(text):
        if found.start() - NEAR > end:
            yield start, end
            most, start = most - (end - start), found.start() - NEAR
        if min(found.end() + NEAR, len(text)) - start > most:
            break
        end = min(found.end() + NEAR, len(text))
    yield start, max(start, end)


def hidden(text: str, places: Iterable[tuple[int, int]]) -> str:
    """Return the text with these places blurred, which come one after the other."""
    parts, at = [], 0
    for start, end in places:
        parts += [text[at:start], BLUR * (end - start)]
        at = end
    return "".join([*parts, text[at:]]) if parts else text
