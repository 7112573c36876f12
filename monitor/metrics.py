"""How good an answer is, given the truth: each metric maps a prediction and a truth to [0, 1]."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache

from monitor.canonical import canonical
from monitor.characters import caseless

Metric = Callable[[str, str], float]

SHORT = 100  # characters of an answer that may be one of a few
BEGINS = " \u00a1\u00bf"  # of sentences
ENDS = (
    " .!?,;\u2026\u203d\u055c\u055e\u0589\u060c\u061b\u061f\u06d4\u0964\u0965"
    "\u0f0d\u0f0e\u104a\u104b\u1362\u1367\u17d4\u17d5\u1803\u1809\u2e2e\u3001\u3002"
)
_MONEY = "$\u00a2-\u00a5\u20a0-\u20c0"
_SIGN = re.compile(rf"[%\u2030\u00b0{_MONEY}]")
_UNIT = re.compile(rf"(?<=\d) (?={_SIGN.pattern})")
_PRICE = re.compile(rf"(^|\D )([{_MONEY}]) (?=\d)")
_QUOTED = re.compile(r"(?<![^\s(])[\u00ab\u2039]\s+|\s+[\u00bb\u203a](?!\w)")  # as French sets them
_AROUND = '"()[]{}'  # words
_FACTORIAL = re.compile(r"[^ ]*\d!+")
_UNSPACED = (  # scripts that put no blanks between words
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3100-\u312f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
    "\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\ua000-\ua4cf\ua980-\ua9df"
)
_MARKS = (  # that belong to the character before
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u0f71-\u0f84\u0f90-\u0fbc"
    "\u102b-\u103e\u1056-\u1059\u17b4-\u17d3\u3099\u309a"
)
_JSON = str.maketrans(dict.fromkeys('{}[]":,', " "))
_TOKEN = re.compile(rf"[{_UNSPACED}][{_MARKS}]*|[^\s{_UNSPACED}]+")


def normalise(text: str) -> str:
    """Return a text without what does not matter: case, how a character is written (`monitor.characters`), surrounding
    and doubled blanks, a sentence's punctuation at its ends. Symbols stay: `C++` is not `C`, `-5` not `5`. JSON, calls
    of tools among it, is in its one form (`monitor.canonical`).

    >>> normalise("  Card  Arrival. "), normalise("A+"), normalise("I can\u2019t!"), normalise('{"b": 1, "a": "X"}')
    ('card arrival', 'a+', "i can't", '{"a":"x","b":1}')
    """
    return _kept(text) if len(text) <= SHORT else _normalised(text)


def _normalised(text: str) -> str:
    known = canonical(text)
    return _prose(text) if known is None else caseless(known)


def _prose(text: str) -> str:
    quoted = text if text.isascii() else _QUOTED.sub(lambda found: found.group().strip(), text)
    plain = " ".join(caseless(quoted).split())
    return _bare(_PRICE.sub(r"\1\2", _UNIT.sub("", plain)) if _SIGN.search(plain) else plain)


_kept = lru_cache(maxsize=4096)(_normalised)  # many answers are one of a few


def _bare(text: str) -> str:
    """Without a sentence's punctuation; where there is nothing else it stays, and `5!` is a number."""
    text = text.lstrip(BEGINS) or text
    plain = text.rstrip(ENDS)
    number = _FACTORIAL.match(text) if text.startswith("!", len(plain)) else None
    return number.group() if number else plain or text


def tokens(text: str) -> list[str]:
    """Return words; of scripts without blanks between them, characters; of JSON its keys and the words of its values.

    >>> tokens("\u6771\u4eac tower, please."), tokens("?")
    (['\u6771', '\u4eac', 'tower', 'please'], ['?'])
    """
    known = canonical(text)
    plain = _prose(text) if known is None else " ".join(caseless(known).translate(_JSON).split())
    found = (word.strip(_AROUND) for word in _TOKEN.findall(plain) if word.strip(BEGINS + ENDS + _AROUND))
    words = [_bare(word).strip(_AROUND) for word in found]
    return words or ([plain] if plain else [])


def exact_match(prediction: str, truth: str) -> float:
    """Return 1 where both are the same once normalised."""
    return float(normalise(prediction) == normalise(truth))


def token_f1(prediction: str, truth: str) -> float:
    """Return the harmonic mean of precision and recall over words (as SQuAD has it), or characters where no blanks part
    words.

    >>> token_f1("the red card", "red card")
    0.8
    """
    given, wanted = tokens(prediction), tokens(truth)
    if not given or not wanted:
        return float(given == wanted)
    return 2.0 * (Counter(given) & Counter(wanted)).total() / (len(given) + len(wanted))


def rouge_l(prediction: str, truth: str) -> float:
    """Return ROUGE-L: F1 of the longest common subsequence of words (Lin 2004), or characters where no blanks part
    words.

    >>> rouge_l("a b c", "a x c")
    0.6666666666666666
    """
    given, wanted = tokens(prediction), tokens(truth)
    if not given or not wanted:
        return float(given == wanted)
    return 2.0 * _common(given, wanted) / (len(given) + len(wanted))


def json_validity(prediction: str, truth: str = "") -> float:
    """Return 1 where the prediction is JSON (RFC 8259: no NaN, no Infinity); with a truth that is a JSON object, it
    must also have all of its keys."""
    try:
        given = _read(prediction)
    except (ValueError, RecursionError):
        return 0.0
    wanted = _keys(truth)
    return float(not wanted or (isinstance(given, dict) and wanted <= given.keys()))


METRICS: dict[str, Metric] = {
    "exact_match": exact_match,
    "token_f1": token_f1,
    "rouge_l": rouge_l,
    "json_validity": json_validity,
}
YES_OR_NO = frozenset({"exact_match", "json_validity"})  # metrics that give nothing but 0 and 1
SPOKEN = {"exact_match": "exact match", "token_f1": "F1", "json_validity": "valid JSON", "set_f1": "F1 of sets"}
SPOKEN |= {"rouge_1": "ROUGE-1", "rouge_2": "ROUGE-2", "rouge_l": "ROUGE-L", "rouge_lsum": "ROUGE-Lsum"}


def spoken(name: str) -> str:
    """Return a metric's name as people say it.

    >>> spoken("rouge_l"), spoken("tone"), spoken("")
    ('ROUGE-L', 'tone', 'score')
    """
    return SPOKEN.get(name, name) or "score"


def comparable(one: str, other: str) -> bool:
    """Return whether losses of two metrics, by name, can be compared. One that is not known was yes or no: labels from
    before losses had no name, and were cut at a half.

    >>> comparable("rouge_l", "rouge_l"), comparable("", "exact_match"), comparable("", "rouge_l")
    (True, True, False)
    """
    return one == other or ("" in (one, other) and not YES_OR_NO.isdisjoint((one, other)))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence: a row of its table is the bits of one number (Hyyr\u00f6 2004)."""
    places: defaultdict[str, int] = defaultdict(int)
    for i, word in enumerate(one):
        places[word] |= 1 << i
    full = row = (1 << len(one)) - 1
    for word in other:
        met = row & places.get(word, 0)
        row = ((row + met) | (row - met)) & full
    return len(one) - row.bit_count()


def _read(text: str) -> object:
    return json.loads(text, parse_constant=_refused, parse_int=float)


def _refused(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _keys(truth: str) -> set[str]:
    try:
        wanted = _read(truth)
    except (ValueError, RecursionError):
        return set()
    return set(wanted) if isinstance(wanted, dict) else set()
