"""A topic that was deleted and created again counts from 0: nothing of it is taken for what the lake and the judge
know, and nothing of that is lost."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
from streams.log import topic_ids as incarnations
from streams.log.read import Raw
from streams.log.topic_ids import TopicRecreated
from streams.objects.opening import Storage
from streams.objects.store import ObjectStore, StorageError
from streams.topics import INFERENCE, RESULTS, SCORES, STATE
from tests.streams.support.fakes import FakeLog, raws, take_in
from tests.streams.support.lakes import at
from tests.streams.support.profile_counts import profiled
from tests.streams.support.scenario import rejected
from tests.streams.support.traffic import served, small, within
from tests.support.s3 import S3, SLOW_DOWN

OLD, NEW = [served("support", i) for i in range(60)], [served("support", 100 + i) for i in range(40)]
RULES = Rules(MonitorSettings(reference_events=50), PolicySettings(), "reports", "profiles", 3_600_000)


def ingest_agent(log: FakeLog, root: Path, id: str) -> IngestAgent[InferenceServed]:
    def tail(partition: int, first: int, end: int) -> Sequence[Raw]:
        return []

    return IngestAgent(SERVED, small("test", profile_flush_s=0.001), within(root), log, tail, lambda: id)


def store(root: Path) -> ObjectStore:
    return within(root).objects()


def ids(root: Path) -> list[str]:
    return [str(id) for id in at(root / "lake").read(INFERENCE)["id"].to_pylist()]


async def test_a_topic_made_anew_is_refused_by_name_and_overwrites_nothing(tmp_path: Path) -> None:
    await take_in(ingest_agent(FakeLog(), tmp_path, "first"), raws(OLD))
    log = FakeLog()
    with pytest.raises(TopicRecreated, match=r"inference\.events was created again.*second.*first.*topics accept"):
        await take_in(ingest_agent(log, tmp_path, "second"), raws(NEW))
    assert ids(tmp_path) == [event.id for event in OLD]
    assert log.records == []


@pytest.mark.slow
async def test_once_accepted_its_rows_stand_after_the_old_ones(tmp_path: Path) -> None:
    first = ingest_agent(FakeLog(), tmp_path, "first")
    await take_in(first, raws(OLD))
    await first.close()
    assert incarnations.accept(store(tmp_path), INFERENCE.name, "second")
    assert not incarnations.accept(store(tmp_path), INFERENCE.name, "second")
    after = ingest_agent(FakeLog(), tmp_path, "second")
    await take_in(after, raws(NEW))
    await after.close()
    assert ids(tmp_path) == [event.id for event in [*OLD, *NEW]]
    parts = at(tmp_path / "lake").in_log_order(INFERENCE, 0)
    assert [id for part in parts for id in part["id"].to_pylist()] == [event.id for event in [*OLD, *NEW]]
    assert profiled(store(tmp_path), "support") == len(OLD) + len(NEW)


@pytest.mark.slow
async def test_going_back_to_an_earlier_topic_is_refused(tmp_path: Path) -> None:
    """As after a failover to another cluster and back: its rows took the place of those of the cluster between, and the
    judge dropped them all as past."""
    for id, events in (("first", OLD), ("second", NEW)):
        incarnations.accept(store(tmp_path), INFERENCE.name, id)
        there = ingest_agent(FakeLog(), tmp_path, id)
        await take_in(there, raws(events))
        await there.close()
    with pytest.raises(ValueError, match=r"its id is first, which was left for second.*delete the topic, create it"):
        incarnations.accept(store(tmp_path), INFERENCE.name, "first")
    with pytest.raises(TopicRecreated):
        await take_in(ingest_agent(FakeLog(), tmp_path, "first"), raws(NEW))
    assert ids(tmp_path) == [event.id for event in (*OLD, *NEW)]


@pytest.mark.slow
async def test_a_worker_that_froze_with_the_old_topic_changes_nothing_of_the_new(tmp_path: Path) -> None:
    frozen = ingest_agent(FakeLog(), tmp_path, "first")
    await take_in(frozen, raws(OLD[:50]))
    incarnations.accept(store(tmp_path), INFERENCE.name, "second")
    await take_in(ingest_agent(FakeLog(), tmp_path, "second"), raws(NEW))
    with pytest.raises(TopicRecreated):
        await take_in(frozen, raws(OLD[50:], first=50))
    assert ids(tmp_path) == [event.id for event in [*OLD[:50], *NEW]]


def test_a_made_anew_topic_made_anew_once_more_is_refused_again(storage: Storage) -> None:
    store = storage.objects()
    assert [incarnations.incarnation(store, "a", "1"), incarnations.incarnation(store, "b", "9")] == [0, 0]
    incarnations.accept(store, "a", "2")
    assert incarnations.incarnation(store, "a", "2") == 1
    refused = incarnations.recreated(store, {"a": "1", "b": "9"})
    assert [error.topic for error in refused] == ["a"]


def test_of_workers_that_meet_a_topic_at_once_one_is_first_and_no_topic_is_forgotten(storage: Storage) -> None:
    """Three meet four topics, each in an order of its own; two say the same of them, the third comes from a cluster of
    its own."""

    def meet(worker: int) -> list[str]:
        store, id = storage.objects(), "other" if worker == 2 else "one"
        names = [f"topic-{(worker + i) % 4}" for i in range(4)]
        return [each.topic for each in incarnations.recreated(store, dict.fromkeys(names, id))]

    with ThreadPoolExecutor(3) as pool:
        refused = list(pool.map(meet, range(3)))
    known = incarnations.known(storage.objects())
    assert sorted(known) == [f"topic-{i}" for i in range(4)]
    for topic, ids in known.items():
        assert ids in (["one"], ["other"])
        assert [topic in each for each in refused] == [ids == ["other"]] * 2 + [ids == ["one"]]


def test_of_two_operators_that_accept_at_once_both_are_kept_in_an_order(storage: Storage) -> None:
    incarnations.incarnation(storage.objects(), "a", "0")
    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(lambda id: incarnations.accept(storage.objects(), "a", id), "12"))
    assert incarnations.known(storage.objects())["a"] in (["0", "1", "2"], ["0", "2", "1"])


def test_what_cannot_be_read_is_refused_and_stays(storage: Storage) -> None:
    store = storage.objects()
    store.put_if_absent(incarnations.KEY, b"[")
    for act in (incarnations.accept, incarnations.incarnation):
        with pytest.raises(ValueError, match=rf"{incarnations.KEY}: .*restore it from a backup"):
            act(store, "a", "1")
    assert store.get(incarnations.KEY).data == b"["


def test_what_lies_in_a_folder_already_is_found(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "topics.json").write_text('{"a": ["1", "2"]}')
    assert incarnations.incarnation(store(tmp_path), "a", "2") == 1


def test_a_bucket_that_is_away_is_asked_about_new_topics_only(s3: S3, tmp_path: Path) -> None:
    where = Storage(s3.storage(tmp_path.name), tmp_path)
    asked = incarnations.Incarnations(where.objects(0.5))
    incarnations.accept(where.objects(), "a", "1")
    assert asked.of("a", "1") == 0
    s3.asked.clear()
    assert asked.of("a", "1") == 0
    assert s3.asked == [], "it was asked a moment ago"
    asked._found["a", "1"] = (0, 0.0)
    s3.for_ever = SLOW_DOWN
    assert asked.of("a", "1") == 0
    with pytest.raises(StorageError):
        asked.of("a", "2")
    s3.reset()
    incarnations.accept(where.objects(), "a", "2")
    asked._found["a", "1"] = (0, 0.0)
    with pytest.raises(TopicRecreated):
        asked.of("a", "1")


async def scored(root: Path, events: list[InferenceServed], id: str) -> list[tuple[ScoreBatch, LogPosition]]:
    log = FakeLog()
    await take_in(ingest_agent(log, root, id), raws(events))
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
