from __future__ import annotations

import base64
import dataclasses
import random

import msgspec
import pytest
from msgspec.structs import replace

from monitor.describe.descriptors import Describer
from monitor.describe.patterns import Forbidden
from monitor.judge import Batch, update
from monitor.settings import EVENT_BYTES, PASSAGES_BYTES, PATTERN_BYTES, STATE_BYTES, MonitorSettings
from streams import codec
from streams.events import InferenceServed, ScoreBatch
from streams.ingest.duplicates import RecentIds
from streams.ingest.prepare import SERVED, prepare
from streams.judge.memory import JudgeRecord, pack, read_store, start, unpack
from streams.messages import Message
from streams.topics import STATE
from tests.streams.support.fakes import FakeLog, raws
from tests.streams.support.traffic import served

SETTINGS = MonitorSettings(reference_events=200)


def grown(events: int, version: str = "", memory: JudgeRecord | None = None) -> JudgeRecord:
    """A judge that has seen so many events of a version."""
    memory = memory or start("support")
    done = memory.offsets.get("monitor.scores/0", 0)
    prepared = prepare(
        SERVED, RecentIds(10), raws([served("support", done + i, version=version) for i in range(events)], 0, done)
    )
    scores = codec.decode(ScoreBatch, prepared.built.scores[0].value)
    state, _ = update(SETTINGS, memory.judge, batch_of(scores))
    return replace(memory, judge=state, offsets={"monitor.scores/0": done + events})


def batch_of(scores: ScoreBatch) -> Batch:
    return Batch(
        source="inference",
        partition=0,
        first_offset=scores.first_offset,
        last_offset=scores.last_offset,
        descriptor_names=scores.descriptor_names,
        rows=scores.rows,
        time_ms=1,
    )


async def test_what_was_put_is_there_again() -> None:
    log, memory = FakeLog(), grown(250)
    await read_store(0, []).put(log, [memory, start("billing")], 1)
    found = read_store(0, log.raws(STATE))
    assert found.get("support") == memory
    assert found.get("billing") == start("billing")
    assert found.get("never-seen") == start("never-seen")


@pytest.mark.slow
def test_a_memory_of_as_many_events_as_may_be_gathered_fits_into_a_record() -> None:
    """All versions at once, each with answers and questions of its own."""
    kept, patterns, events = 3, {f"p{i}": f"word{i}" for i in range(9)}, 1_500
    per_event = EVENT_BYTES + PASSAGES_BYTES + PATTERN_BYTES * len(patterns)
    source = dataclasses.replace(SERVED, describe=Describer(Forbidden(patterns)))
    rng, state = random.Random(0), start("support").judge
    settings = MonitorSettings(reference_events=events + 1, versions_kept=kept, policy_patterns=patterns)
    for version in range(kept):
        replies = [varied(rng, version * events + i, f"support-{version:012d}") for i in range(events)]
        prepared = prepare(source, RecentIds(10), raws(replies, 0, version * events))
        scores = codec.decode(ScoreBatch, prepared.built.scores[0].value)
        state, _ = update(settings, state, replace(batch_of(scores), time_ms=max(scores.rows.times_ms)))
    assert [len(watch.rows) for watch in state.watches.values()] == [events] * kept
    size = len(codec.encode(replace(start("support"), judge=state)))
    assert size < kept * events * per_event
    assert STATE.max_bytes > STATE_BYTES


BLANKS = str.maketrans("abcd", "    ")  # words of seven letters, on average


def varied(rng: random.Random, number: int, version: str) -> InferenceServed:
    def text(words: int) -> str:
        return base64.b32encode(rng.randbytes(5 * words)).decode().lower().translate(BLANKS)

    return replace(
        served("support", number, version=version),
        input_messages=[Message("user", text(1_000))],
        output=text(30),
        logprob_mean=-rng.random(),
        logprob_min=-7 * rng.random(),
        latency_ms=1e4 * rng.random(),
        client=f"client-{rng.random()}",
    )


def test_a_packed_record_lacks_its_references_and_is_whole_again() -> None:
    memory = grown(250)
    bare, references = pack(memory)
    assert unpack(bare, references) == memory
    saved = len(codec.encode(memory)) - len(codec.encode(bare))
    assert saved > 0.99 * sum(len(msgspec.json.encode(each)) for each in references.values()) > 30_000


async def test_a_reference_is_sent_once_and_before_the_record_that_names_it() -> None:
    log, memory = FakeLog(), grown(250)
    mine = read_store(0, [])
    await mine.put(log, [memory], 1)
    await mine.put(log, [grown(10, memory=memory)], 2)
    keys = [record.key.decode().partition("@")[0::2] for record in log.of(STATE)]
    assert [bool(digest) for _, digest in keys] == [True, False, False]
    assert {record.partition for record in log.of(STATE)} == {0}


@pytest.mark.slow
async def test_a_reference_no_longer_named_is_given_up() -> None:
    log, memory = FakeLog(), grown(250)
    await read_store(0, []).put(log, [memory], 1)
    found = read_store(0, log.raws(STATE))
    for version in ("support-b", "support-c", "support-d"):
        memory = grown(250, version, memory)
    await found.put(log, [memory], 2)
    last = log.of(STATE)[-1]
    assert last.value is None
    assert read_store(0, log.raws(STATE)).get("support") == memory


async def test_of_two_workers_the_one_that_saw_more_wins() -> None:
    log, early = FakeLog(), grown(50)
    late = grown(20, memory=early)
    for memory in (late, early):
        await read_store(0, []).put(log, [memory], 1)
    assert read_store(0, log.raws(STATE)).get("support") == late


async def test_a_lost_reference_costs_that_version_only() -> None:
    log, memory = FakeLog(), grown(250)
    await read_store(0, []).put(log, [memory], 1)
    without = [raw for raw in log.raws(STATE) if b"@" not in (raw.key or b"")]
    found = read_store(0, without).get("support")
    assert found.judge.watches == {}
    assert found.offsets == memory.offsets


async def test_an_unreadable_record_is_left_out() -> None:
    log, memory = FakeLog(), grown(20)
    await read_store(0, []).put(log, [memory], 1)
    broken = [replaced for raw in log.raws(STATE) for replaced in (raw, raw.__class__(0, 9, 9, raw.key, b"{"))]
    assert read_store(0, broken).get("support") == memory
