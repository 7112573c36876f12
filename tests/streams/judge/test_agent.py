from __future__ import annotations

import asyncio

import msgspec
import prometheus_client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import codec
from streams.events import AlarmRaised, Event, ScoreBatch
from streams.judge.agent import JudgeAgent
from streams.judge.ordering import Ordering, decode_scores
from streams.log.chunks import Chunk
from streams.log.read import Raw
from streams.topics import ALARMS, LEDGER, REQUESTS, SCORES, SCORES_DLQ, STATE, WINDOWS
from tests.streams.support import scenario
from tests.streams.support.fakes import Died, FakeLog
from tests.streams.support.scenario import RULES, chunks, once, records

pytestmark = pytest.mark.slow

RECORDS = records()
CALM = 3  # records at once


def judge_agent(log: FakeLog, alarmed: list[AlarmRaised] | None = None) -> JudgeAgent:
    taken = alarmed if alarmed is not None else []
    return JudgeAgent(RULES, log, lambda partition: log.raws(STATE), lambda alias: False, taken.append)


async def lived(log: FakeLog, size: int) -> int:
    """A whole life in batches; a worker that dies is followed by another, which starts where nothing was
    acknowledged. Returns how many died."""
    done, deaths, worker = 0, 0, judge_agent(log)
    while done < len(RECORDS):
        try:
            await worker.take(chunks(RECORDS[done : done + size]))
            done += size
        except Died:
            deaths, worker = deaths + 1, judge_agent(log)
    return deaths


async def test_decisions_are_written_first_then_effects_then_the_memory() -> None:
    log = FakeLog()
    await judge_agent(log).take(chunks(RECORDS))
    assert log.calls[0] == [LEDGER.name]
    assert set(log.calls[1]) == {ALARMS.name, WINDOWS.name, REQUESTS.name}
    assert all(call == [STATE.name] for call in log.calls[2:])
    assert len(log.calls) == 4


@pytest.fixture(scope="module")
def calm() -> FakeLog:
    log = FakeLog()
    asyncio.run(lived(log, CALM))
    return log


@pytest.mark.parametrize("dies_at", range(12))
async def test_where_the_worker_dies_changes_no_effect(dies_at: int, calm: FakeLog) -> None:
    rough = FakeLog(dies_at)
    assert await lived(rough, CALM) == 1
    assert once(rough) == once(calm)
    assert judge_agent(rough).rules == RULES
    assert len(once(calm)[ALARMS.name]) >= 1


async def test_how_records_are_batched_changes_no_effect() -> None:
    one, all_ = FakeLog(), FakeLog()
    await lived(one, 1)
    await lived(all_, len(RECORDS))
    # the last record is of another topic: within one batch it is taken first, and changes nothing
    assert once(one)[ALARMS.name] == once(all_)[ALARMS.name]
    assert once(one)[WINDOWS.name] == once(all_)[WINDOWS.name]
    assert once(one)[REQUESTS.name] == once(all_)[REQUESTS.name]


async def test_a_poisoned_record_becomes_a_letter_and_the_others_live() -> None:
    calm, log = FakeLog(), FakeLog()
    await lived(calm, 200)
    poison = [(SCORES.name, Raw(0, 1_000 + i, 1, b"", value)) for i, value in enumerate((b"{", None))]
    broken = (RECORDS[0][1].value or b"").replace(b'"alias":"support"', b'"alias":"torn"')
    torn = (SCORES.name, Raw(0, 1_002, 1, b"", broken.replace(b'"statuses":[200,', b'"statuses":[')))
    await judge_agent(log).take(chunks([*RECORDS, *poison, torn]))
    assert once(log)[ALARMS.name] == once(calm)[ALARMS.name]
    assert len(log.events(SCORES_DLQ)) == 3


async def test_alarms_are_told_of_after_they_are_out() -> None:
    log, alarmed = FakeLog(), []  # type: ignore[var-annotated]
    await judge_agent(log, alarmed).take(chunks(RECORDS))
    assert alarmed == log.events(ALARMS)


async def test_after_a_rebalance_the_memory_is_read_again(calm: FakeLog) -> None:
    log = FakeLog()
    mine, other = judge_agent(log), judge_agent(log)
    await mine.take(chunks(RECORDS[:6]))
    await other.take(chunks(RECORDS[6:12]))
    mine.forget()
    await mine.take(chunks(RECORDS[12:]))
    assert once(log)[ALARMS.name] == once(calm)[ALARMS.name]
    assert once(log)[WINDOWS.name] == once(calm)[WINDOWS.name]


async def test_what_waits_for_its_turn_is_not_acknowledged() -> None:
    worker = judge_agent(FakeLog())
    waiting, passed = chunks(RECORDS[:2]), chunks(RECORDS[2:3])
    assert await worker.take(waiting) == []
    assert await worker.take(passed) == [*waiting, *passed]


async def test_chunks_are_acknowledged_through_no_other_state_than_the_one_that_took_them() -> None:
    worker = judge_agent(FakeLog())
    assert await worker.take(chunks(RECORDS[:2])) == []
    worker.forget()  # the partition was taken away, and came back
    later = chunks(RECORDS[5:6])
    assert await worker.take(later) == later


async def test_one_row_that_waits_does_not_end_the_reading_of_what_it_waits_for() -> None:
    log, room = FakeLog(), 8
    worker = JudgeAgent(RULES, log, lambda partition: [], lambda alias: False, print, Ordering(room=room))
    scored = [
        (name, raw) for name, raw in RECORDS if name == SCORES.name and isinstance(decode_scores(raw), ScoreBatch)
    ]
    hand: list[Chunk] = []
    for record in scored:  # of which nobody says that all partitions have passed it
        hand += chunks([record])
        done = await worker.take(hand[-1:])
        hand = [chunk for chunk in hand if chunk not in done]
        assert sum(chunk.size for chunk in hand) < room
    assert 0 < len(hand) < len(scored)


async def test_finished_chunks_are_handed_out_though_another_partition_fails() -> None:
    log = FakeLog()
    worker, fails = judge_agent(log), [True]

    def read(partition: int) -> list[Raw]:
        if partition == 1 and fails:
            fails.clear()
            raise TimeoutError
        return []

    worker.read_state = read
    first, passed = chunks(RECORDS[:2]), chunks(RECORDS[2:3])
    other = chunks([(SCORES.name, msgspec.structs.replace(RECORDS[2][1], partition=1))])
    assert await worker.take(first) == []
    with pytest.raises(TimeoutError):
        await worker.take([*passed, *other])
    assert await worker.take([*passed, *other]) == [*first, *passed, *other]


async def test_what_failed_half_way_is_taken_again() -> None:
    calm, log = FakeLog(), FakeLog(dies_at=2)
    await lived(calm, 200)
    worker, all_ = judge_agent(log), chunks(RECORDS)
    with pytest.raises(Died):
        await worker.take(all_)
    assert await worker.take(all_) == all_
    assert once(log) == once(calm)


async def test_events_that_come_after_their_window_was_closed_are_counted_where_operators_see_them() -> None:
    log = FakeLog()
    await judge_agent(log).take(chunks(RECORDS))
    name, raw = next(record for record in RECORDS if record[0] == SCORES.name)
    scores = codec.decode(ScoreBatch, raw.value)
    moved = msgspec.structs.replace(scores, partition=3)  # of a partition not known so far: its times are long past
    later = scenario.passed(10 * RECORDS[-1][1].timestamp_ms)
    taken = [Raw(0, 5_000 + i, 1, b"", codec.encode(event)) for i, event in enumerate((moved, later))]
    await judge_agent(log).take(chunks([(name, raw) for raw in taken]))
    late = prometheus_client.REGISTRY.get_sample_value("homeostat_window_late_events", {"alias": scores.alias})
    assert late == len(scores.rows)
    assert len(once(log)[WINDOWS.name]) == len(await windows(RECORDS))


async def windows(records: list[tuple[str, Raw]]) -> list[Event]:
    log = FakeLog()
    await judge_agent(log).take(chunks(records))
    return once(log)[WINDOWS.name]


@settings(max_examples=10)
@given(st.data())
async def test_scores_that_come_again_later_in_any_order_change_nothing(calm: FakeLog, data: st.DataObject) -> None:
    scored = [record for record in RECORDS if record[0] == SCORES.name]
    again = data.draw(st.lists(st.integers(0, len(scored) - 2), max_size=8))
    rough = list(enumerate(scored))
    for first in again:
        later = data.draw(st.integers(first + 1, len(scored) - 1))
        at = next(i for i, (number, _) in enumerate(rough) if number == later) + 1
        rough.insert(at, (-1, scored[first]))
    log = FakeLog()
    worker = judge_agent(log)
    newest = 0
    for offset, (_, (name, raw)) in enumerate(rough):
        newest = max(newest, raw.timestamp_ms)
        await worker.take(chunks([(name, Raw(0, offset, newest, b"", raw.value))]))
    for topic in (ALARMS, WINDOWS):
        assert once(log)[topic.name] == once(calm)[topic.name]
    assert [r.alarm_id for r in log.events(REQUESTS)] == [r.alarm_id for r in calm.events(REQUESTS)]  # type: ignore[attr-defined]
