"""A dataset behind a long system prompt, or behind documents: how long it takes, and what is lost to them."""

from __future__ import annotations

import time
from random import Random

from deploy.demo.world.requests import document, instruction
from retrain.data.dataset import build
from retrain.data.example import REHEARSAL, Example
from retrain.settings import RetrainSettings
from streams.messages import Message
from tests.bench.tools.figures import Figure
from tests.bench.traffic.goals import figure
from tests.retrain.support.rows import rows

ROWS, PROMPT_CHARS = 4_000, 2_000


def measured(quick: bool) -> list[Figure]:
    count = 400 if quick else ROWS
    bare = _lost(_bare(count))[0]
    prompt = Message("system", instruction(600)[:PROMPT_CHARS])
    ways = {
        "a system prompt of 2,000 characters": [_behind([prompt], each) for each in _bare(count)],
        "documents of 5,000 characters": [_after_document(number, each) for number, each in enumerate(_bare(count))],
    }
    figures = []
    for way, some in ways.items():
        lost, seconds = _lost(some)
        figures.append(figure(f"dataset of 4,000 rows, built behind {way}", seconds, "CPU s"))
        figures.append(figure(f"dataset of 4,000 rows, rows lost to {way}", lost - bare, "rows"))
    return figures


def _bare(count: int) -> list[Example]:
    half = count // 2
    return [*rows(half), *rows(count - half, first=half, source=REHEARSAL)]


def _behind(before: list[Message], row: Example) -> Example:
    return _with([*before, *row.messages], row)


def _after_document(number: int, row: Example) -> Example:
    found = document(Random(number).randrange(200))
    return _with([Message("user", f"{found}\n{row.messages[-1].content}")], row)


def _with(messages: list[Message], row: Example) -> Example:
    import msgspec

    return msgspec.structs.replace(row, messages=messages)


def _lost(some: list[Example]) -> tuple[int, float]:
    """How many rows the filters removed, and how long building took."""
    fresh = [row for row in some if row.source != REHEARSAL]
    unseen = [row for row in some if row.source == REHEARSAL]
    began = time.process_time()
    made = build(RetrainSettings(), fresh, unseen, [])
    return sum(made.dropped.values()), time.process_time() - began
