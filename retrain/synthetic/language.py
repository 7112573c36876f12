"""The language of a text, by the commonest words of sixteen languages (spaCy's lists), or by its script where that is
not Latin. A text with too few of them has none that is known."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache
from importlib import import_module

LANGUAGES = ("cs", "da", "de", "en", "es", "fi", "fr", "hu", "it", "nb", "nl", "pl", "pt", "ro", "sv", "tr")
FEWEST = 3  # different common words, for a language to be known
LEAD = 1.4  # times as many as of the next language: related ones share words
READ = 2_000  # characters
_WORD = re.compile(r"[^\W\d_]+")


def language(text: str) -> str:
    """Return the language's code, a script's name where that is not Latin, or an empty text where neither is clear.

    >>> language("Where is the card that I have ordered?"), language("Wo ist die Karte, die ich bestellt habe?")
    ('en', 'de')
    >>> language("Где моя карта?"), language("refund 42"), language("")
    ('CYRILLIC', '', '')
    """
    text = text[:READ].lower()
    script = _script(text)
    if script != "LATIN":
        return script
    found = set(_WORD.findall(text))
    counts = sorted(((len(found & words), name) for name, words in _common().items()), reverse=True)
    (most, name), (next_most, _) = counts[0], counts[1]
    return name if most >= FEWEST and most >= LEAD * next_most else ""


def _script(text: str) -> str:
    counts = Counter(unicodedata.name(each, "?").partition(" ")[0] for each in text if each.isalpha())
    return counts.most_common(1)[0][0] if counts else ""


@cache
def _common() -> dict[str, frozenset[str]]:
    """Return the common words of each language, without those of a single letter."""
    lists = {name: import_module(f"spacy.lang.{name}.stop_words").STOP_WORDS for name in LANGUAGES}
    return {name: frozenset(each for each in words if len(each) > 1) for name, words in lists.items()}
