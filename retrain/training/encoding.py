"""Labelled rows in tokens, as a training takes them, and the rows that it must do without."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrain.data.example import Lesson
from retrain.training.batches import Encoded
from retrain.training.objections import objection
from retrain.training.prompting import Messages, answer_ids, called, render, token_ids

MAX_LEFT_OUT = 0.5  # share of the rows that a training may do without
AT_FIRST = 8  # characters for each token, read of a text to see that it is too long; then four times as many
UNSURE = 64  # tokens at a cut that the whole text might not have
TOO_LONG = "longer than the recipe's training.max_length"


@dataclass(frozen=True, slots=True)
class Lessons:
    """Rows in tokens, and the number of different rows left out, by reason."""

    rows: list[Encoded]
    left_out: dict[str, int]


def lessons(
    tokenizer: Any, rows: Sequence[Lesson | tuple[Messages, str]], max_length: int, max_left_out: float = MAX_LEFT_OUT
) -> Lessons:
    """Return the rows in tokens, without those that the chat template does not take and those longer than `max_length`.
    Raises ValueError where none is left, or where more than the share `max_left_out` is left out."""
    known: dict[str, Encoded | str] = {}
    taught = [Lesson(*row) for row in rows]
    keys = [json.dumps([list(map(dict, each.messages)), each.answer, list(map(dict, each.tools))]) for each in taught]
    for key, each in zip(keys, taught, strict=True):
        if key not in known:
            known[key] = _lesson(tokenizer, each, max_length)
    left_out = Counter(each for each in known.values() if isinstance(each, str))
    if (left_out and left_out.total() > max_left_out * len(known)) or left_out.total() == len(known):
        raise ValueError(_too_few(len(known), max_length, left_out, max_left_out))
    found = [known[key] for key in keys]
    return Lessons([each for each in found if isinstance(each, Encoded)], dict(left_out))


def _lesson(tokenizer: Any, lesson: Lesson, max_length: int) -> Encoded | str:
    """Return the row in tokens, or the reason why it is left out."""
    messages, answer, tools = lesson
    if not called(answer, tools) and surely_longer(tokenizer, answer.strip(), max_length):
        return TOO_LONG
    if why := objection(tokenizer, messages, answer, tools):
        return why
    prompt = render(tokenizer, messages, tools)  # which may leave out what messages hold
    if surely_longer(tokenizer, prompt, max_length):
        return TOO_LONG
    row = Encoded(token_ids(tokenizer, prompt), answer_ids(tokenizer, messages, answer, tools))
    return row if len(row) <= max_length else TOO_LONG


def surely_longer(tokenizer: Any, text: str, most: int) -> bool:
    """Check that a text has more than `most` tokens, by as much of its beginning as it takes to see that: a tokenizer
    takes a hundred times a text's memory. False of one whose whole has to be looked at."""
    read = AT_FIRST * (most + UNSURE)
    while len(text) > read:
        if len(token_ids(tokenizer, text[:read])) > most + UNSURE:
            return True
        read *= 4
    return False


def _too_few(rows: int, max_length: int, left_out: Mapping[str, int], share: float) -> str:
    why = "; ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
    if sum(left_out.values()) == rows:
        gone = f"rows: {rows}, none of at most {max_length} tokens that the chat template takes"
    else:
        gone = f"rows: {sum(left_out.values())} of {rows} left out, at most {share:.0%} may be (retrain.max_left_out)"
    return f"{gone}{f' ({why})' if why else ''}; expected labelled rows, or raise training.max_length ({max_length})"
