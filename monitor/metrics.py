"""How good an answer is, given the truth: each metric maps a prediction and a truth to [0, 1]."""

from __future__ import annotations

import json
import string
from collections import Counter
from collections.abc import Callable, Sequence

Metric = Callable[[str, str], float]

BLANKS = "".join(c for c in map(chr, range(0x10000)) if c.isspace()) + "\u00ad\u180e\u200b\u200c\u200d\u2060\ufeff"


def normalise(text: str) -> str:
    """What does not matter, taken away: case, surrounding and doubled blanks, punctuation at the end.

    >>> normalise("  Card  Arrival. ")
    'card arrival'
    """
    plain = " ".join(text.casefold().split())
    return plain.rstrip(string.punctuation + " ") or plain


def blank(text: str) -> bool:
    r"""Whether there is nothing to be seen in it.

    >>> blank(" \u200b "), blank("-")
    (True, False)
    """
    return not text.strip(BLANKS)


def exact_match(prediction: str, truth: str) -> float:
    """1 where both are the same once normalised."""
    return float(normalise(prediction) == normalise(truth))


def token_f1(prediction: str, truth: str) -> float:
    """Harmonic mean of precision and recall over words (as SQuAD has it).

    >>> token_f1("the red card", "red card")
    0.8
    """
    said, wanted = normalise(prediction).split(), normalise(truth).split()
    if not said or not wanted:
        return float(said == wanted)
    return 2.0 * (Counter(said) & Counter(wanted)).total() / (len(said) + len(wanted))


def rouge_l(prediction: str, truth: str) -> float:
    """ROUGE-L: F1 of the longest common subsequence of words (Lin 2004).

    >>> rouge_l("a b c", "a x c")
    0.6666666666666666
    """
    said, wanted = normalise(prediction).split(), normalise(truth).split()
    if not said or not wanted:
        return float(said == wanted)
    return 2.0 * _common(said, wanted) / (len(said) + len(wanted))


def json_validity(prediction: str, truth: str = "") -> float:
    """1 where the prediction is JSON; with a truth that is a JSON object, it must also have all of its keys."""
    try:
        said = json.loads(prediction)
    except (ValueError, RecursionError):
        return 0.0
    wanted = _keys(truth)
    return float(not wanted or (isinstance(said, dict) and wanted <= said.keys()))


def macro_f1(predictions: Sequence[str], truths: Sequence[str]) -> float:
    """Mean F1 of the truths' classes, each weighing the same; 0 without rows.

    >>> macro_f1(["a", "b", "b"], ["a", "a", "b"])
    0.6666666666666666
    """
    said, wanted = [normalise(text) for text in predictions], [normalise(text) for text in truths]
    hits = Counter(one for one, other in zip(said, wanted, strict=True) if one == other)
    guesses, occurrences = Counter(said), Counter(wanted)
    scores = [2.0 * hits[label] / (guesses[label] + occurrences[label]) for label in occurrences]
    return sum(scores) / len(scores) if scores else 0.0


METRICS: dict[str, Metric] = {
    "exact_match": exact_match,
    "token_f1": token_f1,
    "rouge_l": rouge_l,
    "json_validity": json_validity,
}


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = row
        row = [0]
        for j, candidate in enumerate(other):
            row.append(before[j] + 1 if word == candidate else max(before[j + 1], row[j]))
    return row[-1]


def _keys(truth: str) -> set[str]:
    try:
        wanted = json.loads(truth)
    except (ValueError, RecursionError):
        return set()
    return set(wanted) if isinstance(wanted, dict) else set()
