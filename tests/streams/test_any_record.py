"""Whatever the fields of records hold: what cannot be handled becomes a dead letter, alone, and the judge goes on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from streams import codec
from streams.events import Event, ScoreBatch
from streams.ingest.duplicates import RecentIds
from streams.ingest.prepare import GIVEN, SERVED, Prepared, prepare
from streams.judge.memory import JudgeRecord, start
from streams.judge.step import LogPosition, step
from tests.streams.support.fakes import raws
from tests.streams.support.scenario import RULES
from tests.streams.support.traffic import feedback, served

TEXTS = ["", 5_000 * "x", "\0", "\u202e", 300 * "é", "{"]
NUMBERS = [0, -1, 1, 2**53, 2**63 - 1, -(2**63), 1e308, -1e308, 1e-320, 1.5]
OF_FIELD: dict[str, list[Any]] = {
    "input_messages": [[], [{"role": "", "content": ""}], 9 * [{"role": "user", "content": 20_000 * "x"}]],
    "choices": [30 * [{"content": "", "finish_reason": ""}], [{"content": '{"a": 1}'}]],
    "tags": [{}, {"": ""}, {99 * "t": "a"}, {99 * "t": "b"}, {"tenant": 999 * "v"}, {"language": "\0"}],
    "request": [{"tools": 5}, {"tools": [[]]}, {"response_format": {"json_schema": 3}}, {"": {}}],
}
ROUNDS, AT_ONCE, ODD = 40, 30, 0.3
SOON = replace(RULES, monitor=replace(RULES.monitor, reference_events=100))  # it judges before the end


def odd(event: Event, rng: random.Random) -> bytes:
    """The event with up to three fields that hold something else, of their own type more often than not."""
    fields = msgspec.json.decode(codec.encode(event))
    for _ in range(rng.choice([1, 1, 2, 3])):
        name = rng.choice(list(fields))
        anything: list[Any] = [*TEXTS, *NUMBERS, None, True, [], {}, [None]]
        alike = TEXTS if isinstance(fields[name], str) else NUMBERS if type(fields[name]) in (int, float) else anything
        fields[name] = rng.choice(OF_FIELD.get(name) or (anything if rng.random() < 0.2 else alike))
    return msgspec.json.encode(fields)


def judged(memories: dict[str, JudgeRecord], prepared: Prepared) -> None:
    for record in prepared.built.scores:
        scores = codec.decode(ScoreBatch, record.value)
        if len(scores.rows):
            place = LogPosition(scores.source_topic, 0, scores.last_offset, max(scores.rows.logged_ms))
            known = memories.get(scores.alias) or start(scores.alias)
            memories[scores.alias], _ = step(SOON, known, scores, place)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(3))
def test_records_of_any_content_stop_nobody(seed: int) -> None:
    rng, memories, places = random.Random(seed), dict[str, JudgeRecord](), Counter[str]()
    for number in range(ROUNDS):
        replies = [served("support", number * AT_ONCE + i) for i in range(AT_ONCE)]
        labels = [feedback(reply, rng.random() < 0.9) for reply in replies]
        sources: list[tuple[Any, Sequence[Event]]] = [(SERVED, replies), (GIVEN, labels)]
        for source, events in sources:
            mixed: Sequence[Event | bytes] = [odd(each, rng) if rng.random() < ODD else each for each in events]
            prepared = prepare(source, RecentIds(1_000), raws(mixed, first=places[source.name]))
            places[source.name] += AT_ONCE
            assert prepared.events + prepared.duplicates + len(prepared.dead_letters) == AT_ONCE
            assert len(prepared.dead_letters) < AT_ONCE, "the sound ones are taken"
            judged(memories, prepared)
    assert memories["support"].judge.watches, "it has judged"
