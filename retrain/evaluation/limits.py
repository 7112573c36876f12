"""Limits on the tokens of an answer under evaluation: as many as the labels need, and room for more.

A limit that is too short turns right answers into wrong ones; one that is too long lets an answer that does not end
cost minutes. Both sides of a comparison have the same limits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain.data.example import Example
from retrain.training.prompting import render, token_ids

QUANTILE = 0.99  # of the labels' lengths: an outlier's length is its own row's limit only
STRETCH, ROOM = 1.25, 16  # an answer may use other words than its label, and it has an end token
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """The limits on the answers to some rows."""

    size: Callable[[str], int]  # of a text, in tokens
    asked: Callable[[Example], int]  # tokens of a row's prompt
    common: int  # what most labels need, with room
    most: int = 0  # an operator's bound; 0: none
    context: int = 0  # tokens that prompt and answer may have together; 0: not known

    def of(self, row: Example) -> int:
        """Return the limit on the answer to this row, in tokens; 0 where the model's context cannot hold its label."""
        own = self.size(row.completion)
        wanted = max(self.common, _roomy(own))
        bounded = min(wanted, self.most) if self.most else wanted
        if not self.context:
            return bounded
        left = self.context - self.asked(row)
        return min(bounded, left) if left > own else 0


def limits(tokenizer: Any, rows: Iterable[Example], most: int, context: int) -> AnswerLimits:
    """Return the limits that follow from the labels of the rows."""

    def size(text: str) -> int:
        return len(token_ids(tokenizer, text))

    def asked(row: Example) -> int:
        return size(render(tokenizer, row.prompt(), row.tools))

    return AnswerLimits(size, asked, common(size(row.completion) for row in rows), most, context)


def by_bytes(rows: Iterable[Example], most: int) -> AnswerLimits:
    """Return the limits that follow without a tokenizer: a token is a byte or more."""

    def size(text: str) -> int:
        return len(text.encode())

    return AnswerLimits(size, lambda row: size(row.text), common(size(row.completion) for row in rows), most)


def common(sizes: Iterable[int]) -> int:
    """Return the tokens that most of the labels need, with room.

    >>> common([4] * 99 + [4_000])
    21
    """
    ordered = sorted(sizes)
    return _roomy(ordered[math.ceil(QUANTILE * len(ordered)) - 1]) if ordered else ROOM


def context_of(model_dir: Path) -> int:
    """Return the context that the model's files name, in tokens; 0 where they name none."""
    try:
        config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return 0
    tables = [config, config.get("text_config")] if isinstance(config, dict) else []
    found = [table.get(key) for table in tables if isinstance(table, dict) for key in CONTEXT_KEYS]
    return next((value for value in found if type(value) is int and value > 0), 0)


def _roomy(size: int) -> int:
    return math.ceil(STRETCH * size) + ROOM
