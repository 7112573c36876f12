"""Answers that are a set of labels: a JSON list, or labels parted by commas, semicolons or lines."""

from __future__ import annotations

import json
import re

from monitor.metrics import normalise

PARTED = re.compile(r"[,;\n]")


def label_set(text: str) -> frozenset[str]:
    """Return the labels of an answer.

    >>> sorted(label_set('["Late", "refund"]')), sorted(label_set("refund; late")), sorted(label_set("[]"))
    (['late', 'refund'], ['late', 'refund'], [])
    """
    listed = json_list(text)
    found = PARTED.split(text) if listed is None else [each if isinstance(each, str) else str(each) for each in listed]
    return frozenset(label for each in found if (label := normalise(each)))


def json_list(text: str) -> list[object] | None:
    """Return the list that a text is in JSON; None where it is none, or holds more than texts, numbers and truths."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    plain = isinstance(found, list) and all(isinstance(each, str | int | float | bool) for each in found)
    return found if plain else None


def set_f1(answer: str, truth: str) -> float:
    """Return the harmonic mean of precision and recall over the labels of a set; 1 where both sets are empty.

    >>> set_f1("late", '["late", "refund"]')
    0.6666666666666666
    """
    given, wanted = label_set(answer), label_set(truth)
    if not given and not wanted:
        return 1.0
    return 2.0 * len(given & wanted) / (len(given) + len(wanted))
