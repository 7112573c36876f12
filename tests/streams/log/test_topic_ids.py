"""A topic that was deleted and created again counts from 0: nothing of it is taken for what the lake and the judge
know, and nothing of that is lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from monitor.settings import MonitorSettings, PolicySettings
from streams import codec
from streams.events import InferenceServed, ScoreBatch
from streams.ingest.agent import IngestAgent
from streams.ingest.prepare import SERVED
from streams.judge.memory import JudgeRecord, read_store, start
from streams.judge.step import Effects, LogPosition, Rules, step
from streams.lake import table as lake
from streams.lake.profiles import load
from streams.log import topic_ids as incarnations
from streams.log.read import Raw
from streams.log.topic_ids import TopicRecreated
from streams.topics import INFERENCE, RESULTS, SCORES, STATE
from tests.streams.support.fakes import FakeLog, raws, take_in
from tests.streams.support.profile_counts import count
from tests.streams.support.scenario import rejected
from tests.streams.support.traffic import served, small

OLD, NEW = [served("support", i) for i in range(60)], [served("support", 100 + i) for i in range(40)]
RULES = Rules(MonitorSettings(reference_events=50), PolicySettings(), Path("reports"), Path("profiles"), 3_600_000)


def ingest(log: FakeLog, root: Path, id: str) -> IngestAgent[InferenceServed]:
    def tail(partition: int, first: int, end: int) -> Sequence[Raw]:
        return []

    return IngestAgent(SERVED, small(root, "test", block_offsets=25, profile_flush_s=0.001), log, tail, lambda: id)


def ids(root: Path) -> list[str]:
    return [str(id) for id in lake.read(root / "lake", INFERENCE)["id"].to_pylist()]


async def test_a_topic_made_anew_is_refused_by_name_and_overwrites_nothing(tmp_path: Path) -> None:
    await take_in(ingest(FakeLog(), tmp_path, "first"), raws(OLD))
    log = FakeLog()
    with pytest.raises(TopicRecreated, match=r"inference\.events was created again.*second.*first.*topics accept"):
        await take_in(ingest(log, tmp_path, "second"), raws(NEW))
    assert ids(tmp_path) == [event.id for event in OLD]
    assert log.records == []


@pytest.mark.slow
async def test_once_accepted_its_rows_stand_after_the_old_ones(tmp_path: Path) -> None:
    first = ingest(FakeLog(), tmp_path, "first")
    await take_in(first, raws(OLD))
    await first.close()
    assert incarnations.accept(tmp_path / "lake", INFERENCE.name, "second")
    assert not incarnations.accept(tmp_path / "lake", INFERENCE.name, "second")
    after = ingest(FakeLog(), tmp_path, "second")
    await take_in(after, raws(NEW))
    await after.close()
    assert ids(tmp_path) == [event.id for event in [*OLD, *NEW]]
    assert [table["id"][0].as_py() for table in lake.blocks(tmp_path / "lake", INFERENCE, 0)] == [
        event.id for event in (OLD[0], OLD[25], OLD[50], NEW[0], NEW[25])
    ]
    folders = {path.parent for path in (tmp_path / "profiles").rglob("partition=*.bin")}
    counts = [count(view, "prompt_chars") for f in folders if (view := load(f))]
    assert sum(counts) == len(OLD) + len(NEW)


@pytest.mark.slow
async def test_going_back_to_an_earlier_topic_is_refused(tmp_path: Path) -> None:
    """As after a failover to another cluster and back: its rows took the place of those of the cluster between, and the
    judge dropped them all as past."""
    root = tmp_path / "lake"
    for id, events in (("first", OLD), ("second", NEW)):
        incarnations.accept(root, INFERENCE.name, id)
        there = ingest(FakeLog(), tmp_path, id)
        await take_in(there, raws(events))
        await there.close()
    with pytest.raises(ValueError, match=r"its id is first, which was left for second.*delete the topic, create it"):
        incarnations.accept(root, INFERENCE.name, "first")
    with pytest.raises(TopicRecreated):
        await take_in(ingest(FakeLog(), tmp_path, "first"), raws(NEW))
    assert ids(tmp_path) == [event.id for event in (*OLD, *NEW)]


@pytest.mark.slow
async def test_a_worker_that_froze_with_the_old_topic_changes_nothing_of_the_new(tmp_path: Path) -> None:
    frozen = ingest(FakeLog(), tmp_path, "first")
    await take_in(frozen, raws(OLD[:50]))
    incarnations.accept(tmp_path / "lake", INFERENCE.name, "second")
    await take_in(ingest(FakeLog(), tmp_path, "second"), raws(NEW))
    with pytest.raises(TopicRecreated):
        await take_in(frozen, raws(OLD[50:], first=50))
    assert ids(tmp_path) == [event.id for event in [*OLD[:50], *NEW]]


async def test_a_made_anew_topic_made_anew_once_more_is_refused_again(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    assert [incarnations.incarnation(root, "a", "1"), incarnations.incarnation(root, "b", "9")] == [0, 0]
    incarnations.accept(root, "a", "2")
    assert incarnations.incarnation(root, "a", "2") == 1
    refused = incarnations.recreated(root, {"a": "1", "b": "9"})
    assert [error.topic for error in refused] == ["a"]


async def scored(root: Path, events: list[InferenceServed], id: str) -> list[tuple[ScoreBatch, LogPosition]]:
    log = FakeLog()
    await take_in(ingest(log, root, id), raws(events))
    found = [codec.decode(ScoreBatch, record.value) for record in log.of(SCORES)]
    assert {scores.topic_id for scores in found} == {id}
    return [
        (each, LogPosition(each.source_topic, each.partition, each.last_offset, 1, each.topic_id)) for each in found
    ]


def judged(memory: JudgeRecord, scores: list[tuple[ScoreBatch, LogPosition]]) -> JudgeRecord:
    for each, place in scores:
        memory, _ = step(RULES, memory, each, place)
    return memory


@pytest.mark.slow
async def test_the_judge_takes_the_new_topic_from_its_beginning_and_the_old_one_no_more(tmp_path: Path) -> None:
    old, new = await scored(tmp_path / "a", OLD, "first"), await scored(tmp_path / "b", NEW, "second")
    memory = judged(start("support"), old)
    before = memory.judge.watches
    after = judged(memory, new)
    assert after.topics == {INFERENCE.name: ["first", "second"]}
    assert after.offsets == {f"{INFERENCE.name}/0": len(NEW)}
    assert after.judge.heads["inference/0"].next_offset == len(NEW)
    assert after.judge.watches != before, "what the new topic holds was not judged"
    assert [step(RULES, after, *each) for each in (*old, *new)] == [(after, Effects())] * 2


@pytest.mark.slow
async def test_results_made_anew_are_heard_again_and_change_nothing_of_the_replies(tmp_path: Path) -> None:
    memory = judged(start("support"), await scored(tmp_path / "a", OLD, "first"))
    for id in ("one", "two"):
        told = rejected("support", f"request-{id}")
        memory, _ = step(RULES, memory, told, LogPosition(RESULTS.name, 0, 0, 1, id))
    assert memory.topics[RESULTS.name] == ["one", "two"]
    assert memory.offsets == {f"{INFERENCE.name}/0": len(OLD), f"{RESULTS.name}/0": 1}
    assert memory.judge.heads["inference/0"].next_offset == len(OLD)


@pytest.mark.slow
async def test_the_younger_memory_wins_though_it_covers_less(tmp_path: Path) -> None:
    old, new = await scored(tmp_path / "a", OLD, "first"), await scored(tmp_path / "b", NEW, "second")
    memory = judged(start("support"), old)
    after, log = judged(memory, new), FakeLog()
    assert after.covered < memory.covered
    for each in (after, memory):
        await read_store(0, log.raws(STATE)).put(log, [each], 1)
    assert read_store(0, log.raws(STATE)).get("support").offsets == after.offsets


async def test_memories_of_a_release_that_knew_no_ids_go_on(tmp_path: Path) -> None:
    (scores,) = await scored(tmp_path / "a", OLD, "first")
    unknown = replace(start("support"), offsets={f"{INFERENCE.name}/0": 30})
    assert judged(unknown, [scores]).topics == {INFERENCE.name: ["first"]}
    assert judged(replace(unknown, offsets={f"{INFERENCE.name}/0": 60}), [scores]).topics == {}
