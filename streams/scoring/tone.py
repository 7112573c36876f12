"""How a text is written, by the text alone: how hard it is to read, and how formal its writing is.

Readability is LIX (Björnsson 1968): words to a sentence, plus the share of words of more than six letters, in percent.
Below 30 a text is easy, above 50 hard. Formality is the share of sentences without a mark of the casual: several
exclamation or question marks, emoji, shouted words, letters drawn out, a beginning in small letters. Neither knows what
words mean: an insult in long, well punctuated sentences is formal. For meaning there is a judge model's rubric."""

from __future__ import annotations

import re
import unicodedata

from monitor.metrics import normalise, tokens
from streams.scoring.rows import Unjudged

LONG = 6  # letters: words of more are long
LEAST_WORDS = 5  # of a text that has a readability
WIDTH = 60.0  # of LIX, from the easiest text to the hardest
SENTENCE = re.compile(r"[^.!?\u2026\u3002\uff01\uff1f\u061f\u0964\n]+[.!?\u2026\u3002\uff01\uff1f\u061f\u0964]*")
LOUD = re.compile(r"!!|\?\?|!\?|\?!|\uff01\uff01")
DRAWN_OUT = re.compile(r"([^\W\d_])\1{3,}")  # soooo
EMOTICON = re.compile(r"(?<!\S)[:;=8][-']?[)(DPp/|\\](?!\S)")
SHOUTED = re.compile(r"[^\W\d_]{4,}")


def sentences(text: str) -> list[str]:
    """Return the sentences of a text; a line ends one, too.

    >>> sentences("Your card is on its way. Thanks!")
    ['Your card is on its way.', 'Thanks!']
    """
    found = (each.strip() for each in SENTENCE.findall(text))
    return [each for each in found if any(character.isalnum() for character in each) or LOUD.search(each)]


def lix(text: str) -> float | None:
    """Return how hard a text is to read; None for one of a few words, or in a script that writes no blanks between
    words.

    >>> lix("Your card is on its way. It takes five days.")
    5.0
    >>> lix("Yes.") is None
    True
    """
    words = tokens(text)
    if len(words) < LEAST_WORDS or all(len(each) == 1 for each in words):
        return None
    long = sum(sum(map(str.isalpha, each)) > LONG for each in words)
    return len(words) / max(1, len(sentences(text))) + 100.0 * long / len(words)


def formality(text: str) -> float | None:
    """Return the share of sentences that are written formally; None where there is no sentence.

    >>> formality("Your card is on its way. Sooooo cool!!"), formality("")
    (0.5, None)
    """
    found = sentences(text)
    return sum(not casual(each) for each in found) / len(found) if found else None


def casual(sentence: str) -> bool:
    """Return whether a sentence has a mark of casual writing."""
    marked = LOUD.search(sentence) or DRAWN_OUT.search(sentence) or EMOTICON.search(sentence)
    return bool(marked) or _pictured(sentence) or _shouted(sentence) or sentence[:1].islower()


def readability_match(answer: str, truth: str) -> float | Unjudged:
    """Return 1 where the answer is as easy to read as the truth, 0 where they are as far apart as texts can be."""
    if normalise(answer) == normalise(truth):
        return 1.0
    given, wanted = lix(answer), lix(truth)
    if given is None or wanted is None:
        return Unjudged.TOO_SHORT
    return 1.0 - min(1.0, abs(given - wanted) / WIDTH)


def formality_match(answer: str, truth: str) -> float | Unjudged:
    """Return 1 where the answer is as formal as the truth, 0 where one is formal and the other casual throughout."""
    if normalise(answer) == normalise(truth):
        return 1.0
    given, wanted = formality(answer), formality(truth)
    return Unjudged.TOO_SHORT if given is None or wanted is None else 1.0 - abs(given - wanted)


def _pictured(sentence: str) -> bool:
    """Return whether there is an emoji: a symbol beyond the letters' and the technical ones' planes."""
    return any(unicodedata.category(each) == "So" and ord(each) >= 0x2600 for each in sentence)


def _shouted(sentence: str) -> bool:
    words = SHOUTED.findall(sentence)
    return len(words) > 1 and 2 * sum(map(str.isupper, words)) >= len(words)
