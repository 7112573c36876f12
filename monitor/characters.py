"""One form for characters that look different and mean the same: quotes, dashes, widths, composed letters. What cannot
be seen goes. Symbols stay what they are."""

from __future__ import annotations

import re
import unicodedata

_SINGLE = (
    "`\u00b4\u02b9\u02bb\u02bc\u02bd\u02c8\u055a\u05f3\u07f4\u07f5\u1fbf\u2018\u2019\u201a\u201b\u2032\u2035\u2039\u203a"
    "\u275b\u275c\ua78c\uff07\uff40"
)
_DOUBLE = "\u00ab\u00bb\u02ba\u02ee\u05f4\u201c\u201d\u201e\u201f\u2033\u2036\u300c\u300d\u300e\u300f\u301d\u301e\u301f"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_SLASHES = "\u2044\u2215"
_TILDES = "\u223c\u301c\uff5e"  # Shift JIS' wave is one or the other, as who decoded it has it
_ARABIC = {"\u066a": "%", "\u066b": ".", "\u066c": ",", "\u0640": ""}  # the last stretches text, no more
_BLANK = "\u2800"  # Braille without a dot
_SPANS = (  # zero-width marks, directions, variation selectors; not the tags that distinguish flags
    *(
        (0xAD, 0xAD),
        (0x34F, 0x34F),
        (0x61C, 0x61C),
        (0x115F, 0x1160),
        (0x3164, 0x3164),
        (0xFFA0, 0xFFA0),
        (0x180B, 0x180E),
        (0x200B, 0x200F),
        (0x202A, 0x202E),
    ),
    *((0x2060, 0x206F), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xE0100, 0xE01EF)),
)
UNSEEN = frozenset(chr(code) for first, last in _SPANS for code in range(first, last + 1))
_FORMS = {
    **dict.fromkeys(_SINGLE, "'"),
    **dict.fromkeys(_DOUBLE, '"'),
    **dict.fromkeys(_DASHES, "-"),
    **dict.fromkeys(_SLASHES, "/"),
    **dict.fromkeys(_TILDES, "~"),
    **dict.fromkeys(UNSEEN, ""),
    **_ARABIC,
    _BLANK: " ",
}
_SMALL = frozenset(map(chr, (0xB2, 0xB3, 0xB9, 0xBC, 0xBD, 0xBE, *range(0x2070, 0x208F), *range(0x2150, 0x218A))))
_RAISED = re.compile("[\u00b2\u00b3\u00b9\u2070\u2071\u2074-\u207f]+")
_LOWERED = re.compile("(?<=[0-9])[\u2080-\u208e]+|[\u2080-\u208e]+(?=[0-9])")
_DIGIT = re.compile(r"(?![0-9])\d")
_DOTTED = re.compile("i\u0307+")
_FRACTION = re.compile("(?<=[0-9])(?=[\u00bc-\u00be\u2150-\u215f\u2189])")


def folded(text: str) -> str:
    """Return the text in Unicode's NFKC, with one form of quotes, apostrophes and dashes, without what has no width.
    NFKC would run some characters together; they stay apart: a power, an index next to a digit, a fraction behind a
    number.

    >>> folded("can\u2019t"), folded("\uff11\uff10\uff05"), folded("m\u00b2"), folded("1\u00bd")
    ("can't", '10%', 'm^2', '1 1/2')
    """
    if text.isascii():
        return text.replace("`", "'")
    text = _one_form(text)
    if not _SMALL.isdisjoint(text):
        text = _FRACTION.sub(" ", _LOWERED.sub(r"_\g<0>", _RAISED.sub(r"^\g<0>", text)))
    return _one_form(unicodedata.normalize("NFKC", text))


def caseless(text: str) -> str:
    """Return the text folded, letters of either case as one, digits of every script as ours.

    >>> caseless("STRASSE") == caseless("Stra\u00dfe"), caseless("\u0665\u0660"), caseless("\u0130zmir")
    (True, '50', 'izmir')
    """
    if not text.isascii():
        text = _DIGIT.sub(lambda digit: str(int(digit.group())), text)
    plain = _DOTTED.sub("i", folded(text).casefold())
    return plain if plain.isascii() else unicodedata.normalize("NFKC", plain)


def _one_form(text: str) -> str:
    for character in _FORMS.keys() & set(text):  # a text has few of them: quicker than to look each of its own up
        text = text.replace(character, _FORMS[character])
    return text


def blank(text: str) -> bool:
    """Check whether there is nothing to be seen in it.

    >>> blank(" \u200b "), blank("-")
    (True, False)
    """
    rest = text.strip()
    return not rest or (
        not rest.isascii()
        and all(character.isspace() or character in UNSEEN or character == _BLANK for character in rest)
    )
