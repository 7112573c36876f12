from __future__ import annotations

import json
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.events import FeedbackGiven, InferenceServed, Message
from streams.lake import table as lake
from streams.lake.writer import LakeWriter
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support.traffic import START_MS, feedback, served

EVENTS = [served("support", i) for i in range(60)]
BLOCK = 25


def writer(root: Path) -> LakeWriter:
    return LakeWriter(root, INFERENCE, 0, BLOCK)


def rows(first: int, end: int) -> pa.Table:
    return lake.rows(InferenceServed, 0, list(range(first, end)), EVENTS[first:end])


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.sets(st.integers(1, 59)), died_at=st.integers(0, 5), again=st.integers(0, 30))
def test_how_batches_are_cut_and_a_crash_change_no_file(
    tmp_path_factory: pytest.TempPathFactory, cuts: set[int], died_at: int, again: int
) -> None:
    calm, rough = tmp_path_factory.mktemp("calm"), tmp_path_factory.mktemp("rough")
    writer(calm).add(rows(0, 60))
    work, edges = writer(rough), [0, *sorted(cuts), 60]
    for number, (first, end) in enumerate(pairwise(edges)):
        if number == died_at:
            work, first = writer(rough), max(0, first - again)
        work.add(rows(first, end))
    assert files(rough) == files(calm)
    assert list(files(calm)) == [f"inference.events/partition=0/{first:020d}.parquet" for first in (0, 25, 50)]


def test_rows_of_before_a_field_was_there_are_read_and_kept_beside_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "inference.events" / "partition=0" / f"{0:020d}.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(rows(0, 3).drop_columns(["comparable"]), path)
    pq.write_table(rows(50, 52), path.with_name(f"{50:020d}.parquet"))
    assert lake.events(InferenceServed, lake.read(tmp_path, INFERENCE)) == [*EVENTS[:3], *EVENTS[50:52]]
    writer(tmp_path).add(rows(3, 5))
    assert lake.read(tmp_path, INFERENCE)["offset"].to_pylist() == [*range(5), 50, 51]


def test_rows_of_a_worker_that_lost_the_partition_are_kept(tmp_path: Path) -> None:
    old, new = writer(tmp_path), writer(tmp_path)
    old.add(rows(0, 5))
    new.add(rows(5, 12))
    old.add(rows(5, 8))
    new.add(rows(12, 14))
    assert lake.read(tmp_path, INFERENCE)["offset"].to_pylist() == list(range(14))


def test_rows_of_a_worker_that_wrote_while_another_froze_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, awake, write = writer(tmp_path), writer(tmp_path), pq.write_table
    frozen.add(rows(0, 5))

    def freeze(*args: Any, **more: Any) -> None:
        write(*args, **more)
        monkeypatch.setattr(pq, "write_table", write)
        awake.add(rows(5, 20))  # all of its work: it will not write to this block again

    monkeypatch.setattr(pq, "write_table", freeze)
    frozen.add(rows(5, 8))
    assert lake.read(tmp_path, INFERENCE)["offset"].to_pylist() == list(range(20))


def test_a_file_half_written_is_not_read(tmp_path: Path) -> None:
    writer(tmp_path).add(rows(0, 5))
    (tmp_path / "inference.events/partition=0/.00000000000000000025.parquet.77").write_bytes(b"PAR1")
    assert lake.read(tmp_path, INFERENCE).num_rows == 5


@pytest.mark.slow
def test_a_file_replaced_while_it_is_read_is_read_whole(tmp_path: Path) -> None:
    work, stop = writer(tmp_path), threading.Event()
    work.add(rows(0, 1))

    def write() -> None:
        for end in range(2, BLOCK):
            work.add(rows(end - 1, end))
        stop.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not stop.is_set():
        offsets = lake.read(tmp_path, INFERENCE, alias="support")["offset"].to_pylist()
        assert offsets == list(range(len(offsets)))
    thread.join()


def test_read_filters_and_orders_by_time(tmp_path: Path) -> None:
    writer(tmp_path).add(rows(0, 60))
    other = served("billing", 1)
    LakeWriter(tmp_path, INFERENCE, 3, BLOCK).add(lake.rows(InferenceServed, 3, [7], [other]))
    mine = lake.read(tmp_path, INFERENCE, alias="support", since_ms=EVENTS[10].time_ms, until_ms=EVENTS[20].time_ms)
    assert mine["id"].to_pylist() == [event.id for event in EVENTS[10:20]]
    assert lake.read(tmp_path, INFERENCE, alias="billing")["partition"].to_pylist() == [3]
    times = lake.read(tmp_path, INFERENCE)["time_ms"].to_pylist()
    assert times == sorted(times)
    assert len(times) == 61


def test_an_id_at_two_offsets_is_one_row(tmp_path: Path) -> None:
    events = [EVENTS[0], EVENTS[1], EVENTS[0]]
    writer(tmp_path).add(lake.rows(InferenceServed, 0, [0, 1, 2], events))
    assert lake.read(tmp_path, INFERENCE)["offset"].to_pylist() == [0, 1]


def test_no_lake_has_no_rows_but_columns(tmp_path: Path) -> None:
    table = lake.read(tmp_path / "none", FEEDBACK)
    assert table.num_rows == 0
    assert table.schema == lake.schema(FeedbackGiven)


def test_messages_and_tags_are_json_and_missing_numbers_are_null(tmp_path: Path) -> None:
    event = served("support", 1)
    writer(tmp_path).add(lake.rows(InferenceServed, 0, [0], [event]))
    row = lake.read(tmp_path, INFERENCE).to_pylist()[0]
    assert json.loads(row["input_messages"])[1] == {"role": "user", "content": event.input_messages[1].content}
    assert json.loads(row["tags"]) == {"tenant": "acme"}
    assert row["arm"] == "champion"


def test_feedback_keeps_what_is_unknown_unknown(tmp_path: Path) -> None:
    given_ = [feedback(EVENTS[i], correct) for i, correct in enumerate((True, False, None))]
    LakeWriter(tmp_path, FEEDBACK, 1, BLOCK).add(lake.rows(FeedbackGiven, 1, [0, 1, 2], given_))
    assert lake.read(tmp_path, FEEDBACK)["correct"].to_pylist() == [True, False, None]


def test_span_reads_only_the_offsets_asked_for(tmp_path: Path) -> None:
    writer(tmp_path).add(rows(0, 60))
    read = [offset for table in lake.span(tmp_path, INFERENCE, 0, 20, 55) for offset in table["offset"].to_pylist()]
    assert read == list(range(20, 55))


def test_replies_are_what_the_descriptors_read(tmp_path: Path) -> None:
    writer(tmp_path).add(rows(0, 3))
    found = lake.replies(lake.read(tmp_path, INFERENCE))
    assert [reply.prompt for reply in found] == [event.input_messages[1].content for event in EVENTS[:3]]
    assert [reply.logprob_min for reply in found] == [event.logprob_min for event in EVENTS[:3]]


def test_without_a_user_all_messages_are_the_question() -> None:
    assert lake.question([Message("system", "a"), Message("assistant", "b")]) == "a\nb"
    assert EVENTS[0].time_ms == START_MS
