"""A lake as today's code writes it, to be read by the code of later: `python -m tests.streams.support.recorded_lake`
writes it under `tests/streams/lake/recorded/`, by a mark of its columns. One that is there stays."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from streams.events import FeedbackGiven, InferenceServed
from streams.lake.lake import Lake
from streams.lake.table import schema
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support.lakes import put
from tests.streams.support.traffic import feedback, served

FOLDER = Path(__file__).parents[1] / "lake" / "recorded"
ROWS = 6


def present() -> Path:
    """Where a lake of today's columns is."""
    columns = "".join(schema(kind).to_string() for kind in (InferenceServed, FeedbackGiven))
    return FOLDER / hashlib.sha256(columns.encode()).hexdigest()[:8]


def write(at: Path) -> Lake:
    replies = [served("support", i) for i in range(ROWS)]
    lake = put(at, INFERENCE, replies, together=3)
    return put(lake, FEEDBACK, [feedback(each, i % 2 == 0) for i, each in enumerate(replies)], together=3)


if __name__ == "__main__":
    if not present().exists():
        write(present())
        for log in present().rglob("*.json"):  # it names the folder in which it was written
            log.write_text(re.sub(r'"location":"[^"]*"', '"location":"file:///lake"', log.read_text()))
    print(present())
