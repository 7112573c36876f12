"""The forms in which items leave and answers come back, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from deploy.operator.review.answers import ReviewAnswer
from deploy.operator.review.exchange import argilla, jsonl, label_studio, langfuse
from deploy.operator.review.queue import ReviewItem


class ExchangeForm(NamedTuple):
    """One tool's form: what it imports of an alias's items, and the answers in what it exports."""

    written: Callable[[Sequence[ReviewItem], str], bytes]
    read: Callable[[bytes], list[ReviewAnswer]]


FORMS: Mapping[str, ExchangeForm] = {
    "jsonl": ExchangeForm(jsonl.written, jsonl.read),
    "argilla": ExchangeForm(argilla.written, argilla.read),
    "label-studio": ExchangeForm(label_studio.written, label_studio.read),
    "langfuse": ExchangeForm(langfuse.written, langfuse.read),
}


def answers(form: str, path: Path) -> list[ReviewAnswer]:
    """Return the answers of an exported file. Raise ValueError naming file, line and field."""
    try:
        return FORMS[form].read(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
