from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams import codec
from streams.events import DeadLetter, InferenceServed, ScoreBatch
from streams.ingest.agent import IngestAgent, by_partition
from streams.ingest.prepare import GIVEN, SERVED
from streams.log.read import Raw
from streams.topics import FEEDBACK_DLQ, INFERENCE_DLQ, SCORES
from tests.streams.support.fakes import Died, FakeLog, raws, take_in
from tests.streams.support.lakes import at, stored
from tests.streams.support.profile_counts import profiled
from tests.streams.support.traffic import feedback, served, small, within

EVENTS = [served("support", i) for i in range(120)]
LOG = raws([*EVENTS[:50], b"poison", *EVENTS[40:80], EVENTS[3], *EVENTS[80:]])
DUPLICATES = 11


def ingest_agent(log: FakeLog, root: Path, **changes: object) -> IngestAgent[InferenceServed]:
    plan = small("test", recent_offsets=1_000, profile_flush_s=0.001, **changes)

    def tail(partition: int, first: int, end: int) -> Sequence[Raw]:
        return LOG[first:end]

    return IngestAgent(SERVED, plan, within(root), log, tail)


async def taken(log: FakeLog, root: Path, edges: Sequence[int], died_at: Sequence[int] = ()) -> None:
    """Takes the log cut at `edges`; where a worker dies, the next begins up to two batches earlier."""
    worker, number = ingest_agent(log, root), 0
    bounds, deaths = [0, *edges, len(LOG)], list(died_at)
    while number < len(bounds) - 1:
        log.dies_at = len(log.calls) if number in deaths else None
        try:
            await take_in(worker, LOG[bounds[number] : bounds[number + 1]])
            number += 1
        except Died:
            deaths.remove(number)
            worker, number = ingest_agent(log, root), max(0, number - 2)
    await worker.close()


def scored(log: FakeLog) -> list[str]:
    """The ids that the judge would see: rows above its watermark."""
    done, found = 0, []
    for record in log.of(SCORES):
        scores = codec.decode(ScoreBatch, record.value)
        found += scores.rows.after(done).ids
        done = max(done, scores.last_offset + 1)
    return found


@pytest.mark.slow
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.integers(1, len(LOG) - 1), min_size=2, max_size=8), st.sets(st.integers(0, 6), max_size=3))
async def test_wherever_it_dies_what_is_left_behind_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, edges: set[int], died_at: set[int]
) -> None:
    calm, rough = tmp_path_factory.mktemp("calm"), tmp_path_factory.mktemp("rough")
    calm_log, rough_log = FakeLog(), FakeLog()
    await taken(calm_log, calm, [])
    await taken(rough_log, rough, sorted(edges), sorted(died_at))
    assert stored(at(rough / "lake")) == stored(at(calm / "lake"))
    assert scored(rough_log) == scored(calm_log) == [event.id for event in EVENTS]
    assert {letter.offset for letter in rough_log.events(INFERENCE_DLQ) if isinstance(letter, DeadLetter)} == {50}
    assert profiled(within(rough).objects(), "support") == profiled(within(calm).objects(), "support") == len(EVENTS)


async def test_a_restarted_worker_knows_what_came_before(tmp_path: Path) -> None:
    log = FakeLog()
    await take_in(ingest_agent(log, tmp_path), LOG[:50])
    await take_in(ingest_agent(log, tmp_path), LOG[50:])
    assert scored(log) == [event.id for event in EVENTS]


async def test_taking_again_changes_nothing(tmp_path: Path) -> None:
    log = FakeLog()
    worker = ingest_agent(log, tmp_path)
    for _ in range(3):
        await take_in(worker, LOG)
    await worker.close()
    assert scored(log) == [event.id for event in EVENTS]
    assert profiled(within(tmp_path).objects(), "support") == len(EVENTS)


async def test_rows_are_in_the_lake_after_their_scores_are_confirmed(tmp_path: Path) -> None:
    log = FakeLog(dies_at=0)
    with pytest.raises(Died):
        await take_in(ingest_agent(log, tmp_path), LOG)
    assert stored(at(tmp_path / "lake")) == {}
    worker = ingest_agent(log, tmp_path)
    await worker.send(await worker.prepare(LOG))
    assert scored(log) == [event.id for event in EVENTS]
    assert stored(at(tmp_path / "lake")) == {}
    await worker.commit()
    assert len(stored(at(tmp_path / "lake"))) == len(EVENTS)


async def test_feedback_is_taken_the_same_way(tmp_path: Path) -> None:
    log = FakeLog()
    labels = [feedback(event, i % 2 == 0) for i, event in enumerate(EVENTS[:20])]
    worker = IngestAgent(GIVEN, small("test"), within(tmp_path), log, lambda partition, first, end: [])
    await take_in(worker, raws([*labels, *labels[:5], b"{"]))
    (scores,) = [codec.decode(ScoreBatch, record.value) for record in log.of(SCORES)]
    assert scores.rows.losses == [float(i % 2) for i in range(20)]
    assert len(log.of(FEEDBACK_DLQ)) == 1


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9))))
def test_records_of_a_partition_come_in_order_and_once(places: list[tuple[int, int]]) -> None:
    found = by_partition([Raw(partition, offset, 0, None, None) for partition, offset in places])
    assert {p: [raw.offset for raw in mine] for p, mine in found.items()} == {
        p: sorted({offset for q, offset in places if q == p}) for p, _ in places
    }


@pytest.mark.parametrize("id", ["", "an-id"])
async def test_profiles_of_a_partition_in_which_nothing_more_comes_are_written(tmp_path: Path, id: str) -> None:
    """The successor has no batch from which it could know the topic."""
    lasting = small("test", recent_offsets=1_000, profile_flush_s=1_000.0)
    died, successor = (
        IngestAgent(SERVED, lasting, within(tmp_path), FakeLog(), lambda partition, first, end: [], lambda: id)
        for _ in range(2)
    )
    await take_in(died, LOG)
    await successor.write_profiles([0])
    assert profiled(within(tmp_path).objects(), "support") == len(EVENTS)
    await died.write_profiles([0])  # it only froze
    await successor.write_profiles([0])
    assert profiled(within(tmp_path).objects(), "support") == len(EVENTS)


async def test_the_next_batch_may_be_prepared_before_the_last_is_sent(tmp_path: Path) -> None:
    calm, log = FakeLog(), FakeLog()
    await taken(calm, tmp_path / "calm", [60])
    worker = ingest_agent(log, tmp_path / "ahead")
    first = await worker.prepare(LOG[:60])
    second = await worker.prepare(LOG[60:])
    assert log.records == []
    await worker.send(first)
    await worker.send(second)
    await worker.commit()
    await worker.close()
    assert scored(log) == scored(calm)
    assert stored(at(tmp_path / "ahead" / "lake")) == stored(at(tmp_path / "calm" / "lake"))


@pytest.mark.slow
async def test_what_was_prepared_and_not_sent_is_prepared_again_by_the_next_worker(tmp_path: Path) -> None:
    calm, log = FakeLog(), FakeLog()
    await taken(calm, tmp_path / "calm", [60])
    died = ingest_agent(log, tmp_path / "rough")
    await died.send(await died.prepare(LOG[:60]))  # and not written
    await died.prepare(LOG[60:100])
    await taken(log, tmp_path / "rough", [60])
    assert scored(log) == scored(calm)
    assert stored(at(tmp_path / "rough" / "lake")) == stored(at(tmp_path / "calm" / "lake"))
