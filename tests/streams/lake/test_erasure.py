"""A person's rows go, others' stay, and whoever writes meanwhile loses nothing; on a folder and on S3."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable, write_deltalake
from msgspec.structs import replace

from streams.events import InferenceServed
from streams.lake import erasure
from streams.lake.erasure import Days, Persistence
from streams.lake.lake import Lake
from streams.lake.person import ErasedPerson, PartOfClient
from streams.lake.retention import vacuum
from streams.lake.writer import LakeWriter
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support.lakes import FOLDERS, at, ids, put, stretch
from tests.streams.support.traffic import START_MS, feedback, served

DAY_MS = 86_400_000
LATEST_MS = START_MS + 10 * DAY_MS
CLIENTS = ("app/ann", "app/bob", "app", "shop/ann", "shop")
APP = ErasedPerson.of("key", "app")
ANN = ErasedPerson.of("pseudonym", "ann")
HOW = Persistence(rng=random.Random(3), sleep=lambda _: None)


def reply(number: int, days: int = 3) -> InferenceServed:
    """A reply of one of the clients, on one of so many days."""
    time_ms = START_MS + number % days * DAY_MS + number
    return replace(served("support", number, time_ms=time_ms), client=CLIENTS[number % len(CLIENTS)])


REPLIES = [reply(number) for number in range(60)]
LABELS = [replace(feedback(each, True), by=each.client.partition("/")[0]) for each in REPLIES]


def filled(lake: Lake) -> Lake:
    """The lake with all replies, each with a label of the key that asked."""
    return put(put(lake, INFERENCE, REPLIES, together=25), FEEDBACK, LABELS, together=25)


@pytest.fixture
def full(tmp_path: Path) -> Lake:
    return filled(at(tmp_path / "full"))


def of(*clients: str) -> set[str]:
    return {each.id for each in REPLIES if each.client in clients}


def found(days: Days) -> set[str]:
    return {id for rows in days.values() for id in rows.ids}


def erase(lake: Lake, person: ErasedPerson, until_ms: int = LATEST_MS) -> None:
    replies = erasure.replies(lake, person, until_ms)
    labels = erasure.labels(lake, person, found(replies), until_ms)
    for topic, days in ((FEEDBACK, labels), (INFERENCE, replies)):
        assert all(gone for _, gone in erasure.delete(lake, topic, days, HOW))


def left(lake: Lake) -> tuple[set[str], set[str]]:
    """The replies that are there, and those that have a label."""
    labelled = {label.event_id for label in LABELS if label.id in ids(lake, FEEDBACK)}
    return set(ids(lake, INFERENCE)), labelled


@pytest.mark.parametrize(
    ("person", "clients"),
    [
        (APP, {"app/ann", "app/bob", "app"}),
        (ANN, {"app/ann", "shop/ann"}),
        (ErasedPerson.of("whole", "app/ann"), {"app/ann"}),
        (ErasedPerson.of("key", "ap"), set()),
    ],
    ids=["a client with its users", "a user of all keys", "a user of one key", "somebody unknown"],
)
def test_the_persons_replies_and_their_labels_go_and_no_other_row(
    full: Lake, person: ErasedPerson, clients: set[str]
) -> None:
    assert found(erasure.replies(full, person, LATEST_MS)) == of(*clients)
    erase(full, person)
    others = {each.id for each in REPLIES} - of(*clients)
    assert left(full) == (others, others)
    assert max(ids(full, INFERENCE).values()) == 1


@pytest.mark.parametrize(
    ("part", "value", "places"), [("pseudonym", "chat", {0, 1, 3, 4, 5}), ("whole", "app/chat", {0, 1, 4})]
)
def test_a_conversation_goes_with_the_requests_that_named_a_user_too(
    tmp_path: Path, part: PartOfClient, value: str, places: set[int]
) -> None:
    """In events from before conversations had a column, one stands in the client where no user does."""
    clients = ["app/ann", "app/bob", "app/ann", "shop/ann", "app/chat", "shop/chat"]
    chats = ["chat", "chat", "other", "chat", "", ""]
    rows = [
        replace(reply, client=client, conversation=chat)
        for reply, client, chat in zip(REPLIES, clients, chats, strict=False)
    ]
    full = put(at(tmp_path), INFERENCE, rows)
    person = ErasedPerson.of(part, value, conversation=True)
    assert found(erasure.replies(full, person, LATEST_MS)) == {rows[place].id for place in places}


def test_it_goes_from_a_bucket_as_from_a_folder(lake: Lake) -> None:
    erase(filled(lake), ErasedPerson.of("whole", "app/ann"))
    others = {each.id for each in REPLIES} - of("app/ann")
    assert left(lake) == (others, others)


def test_what_came_after_the_order_stays(full: Lake) -> None:
    until_ms = START_MS + DAY_MS
    erase(full, APP, until_ms)
    later = {each.id for each in REPLIES if each.time_ms >= until_ms}
    assert left(full)[0] == later | of("shop", "shop/ann")


def test_labels_that_the_key_gave_on_others_replies_go_too(tmp_path: Path) -> None:
    """A user of a key gives none that says so: feedback names the key alone."""
    mine = [replace(each, by="app") for each in LABELS]
    full = put(put(at(tmp_path), INFERENCE, REPLIES), FEEDBACK, mine)
    assert found(erasure.labels(full, ANN, [], LATEST_MS)) == set()
    assert found(erasure.labels(full, APP, [], LATEST_MS)) == {label.id for label in LABELS}
    assert found(erasure.labels(full, APP, [], START_MS)) == set()


def test_labels_of_replies_that_are_gone_already_are_found_by_their_ids(full: Lake) -> None:
    replies = erasure.replies(full, ANN, LATEST_MS)
    for _ in erasure.delete(full, INFERENCE, replies, HOW):
        pass
    about = erasure.labels(full, ANN, found(replies), LATEST_MS)
    assert {reply for rows in about.values() for reply in rows.ids.values()} == found(replies)


def test_a_day_that_is_deleted_again_makes_no_version(full: Lake) -> None:
    replies = erasure.replies(full, ANN, LATEST_MS)
    erase(full, ANN)
    before = versions(full)
    for _ in erasure.delete(full, INFERENCE, replies, HOW):
        pass
    assert versions(full) == before
    assert found(erasure.replies(full, ANN, LATEST_MS)) == set()


def test_days_go_one_after_the_other_the_newest_last(full: Lake) -> None:
    days = [day for day, _ in erasure.delete(full, INFERENCE, erasure.replies(full, APP, LATEST_MS), HOW)]
    assert days == sorted(days)
    assert len(days) == 3


def test_more_ids_than_a_condition_names_go_too(full: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "IDS_AT_ONCE", 3)
    erase(full, APP)
    assert left(full)[0] == of("shop", "shop/ann")


def test_a_worker_that_reads_the_log_again_brings_back_none_but_those_it_had_not_written(full: Lake) -> None:
    erase(full, APP)
    late = [replace(each, id=f"{each.id}-late") for each in REPLIES[:5]]
    put(full, INFERENCE, [*REPLIES, *late])
    assert set(ids(full, INFERENCE)) == of("shop", "shop/ann") | {each.id for each in late}
    assert found(erasure.replies(full, APP, LATEST_MS)) == {each.id for each in late if each.client.startswith("app")}


def test_no_table_has_the_name_of_who_was_erased(full: Lake) -> None:
    erase(full, ANN)
    for topic in FOLDERS:
        table = full.table(topic)
        assert table is not None
        told = [str(each["operationParameters"]) for each in table.history() if each["operation"] == "DELETE"]
        assert told
        assert not any("ann" in each for each in told)


def test_where_there_is_no_lake_there_is_nothing_to_do(lake: Lake) -> None:
    erase(lake, APP)
    vacuum(lake, 24)
    assert lake.table(INFERENCE) is None


def versions(lake: Lake) -> dict[str, int]:
    return {name: table.version() for topic, name in FOLDERS.items() if (table := lake.table(topic)) is not None}


def test_old_files_go_when_their_time_is_over_and_not_before(lake: Lake) -> None:
    full = put(lake, INFERENCE, REPLIES)
    erase(full, APP)
    old, before = full.table(INFERENCE), full.read(INFERENCE)
    assert old is not None
    old.load_as_version(1)
    assert old.to_pyarrow_table().num_rows > before.num_rows
    vacuum(full, 24)
    assert old.to_pyarrow_table().num_rows > before.num_rows
    vacuum(full, 0)
    with pytest.raises(OSError, match=r"not found|No such file"):
        old.to_pyarrow_table()
    assert full.read(INFERENCE) == before
    assert left(full)[0] == of("shop", "shop/ann")


# Beside a writer.


@dataclass(slots=True)
class Busy:
    """A writer of younger rows that commits again and again."""

    lake: Lake
    every_s: float
    written: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        writer = LakeWriter(self.lake, INFERENCE)
        while not self.done.is_set():
            self.written += 1
            writer.add(stretch(INFERENCE, 1, [self.written], [self.event(self.written)], "another"))
            writer.commit()
            self.done.wait(self.every_s)

    def event(self, number: int) -> InferenceServed:
        return replace(served("support", 10_000 + number, time_ms=LATEST_MS + number), client="shop")


@contextmanager
def writing(busy: Busy) -> Iterator[None]:
    failed: list[BaseException] = []

    def work() -> None:
        try:
            busy.work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        busy.done.set()
        thread.join()
    assert failed == []


@pytest.mark.slow
def test_beside_a_writer_all_goes_and_all_it_writes_stays(full: Lake) -> None:
    missed: list[date] = []
    how = Persistence(missed=lambda topic, day: missed.append(day))
    busy = Busy(full, 0.02)
    with writing(busy):
        days = erasure.replies(full, APP, LATEST_MS)
        assert {gone for _, gone in erasure.delete(full, INFERENCE, days, how)} == {True}
    assert left(full)[0] == of("shop", "shop/ann") | {busy.event(1 + i).id for i in range(busy.written)}
    assert missed == []  # what is written is younger than what goes


@pytest.mark.slow
def test_a_writer_of_the_same_hours_makes_a_delete_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit between a delete's look and its own commit, each of the first three times: its ids and times lie around
    those that go."""
    lake = put(at(tmp_path), INFERENCE, REPLIES)
    days = dict(sorted(erasure.replies(lake, APP, LATEST_MS).items())[:1])
    real, missed, written = DeltaTable.delete, list[date](), list[InferenceServed]()

    def crossed(self: DeltaTable, condition: str, **options: Any) -> object:
        if len(missed) < 3:
            other, at = DeltaTable(self.table_uri), 2 * len(missed)
            around = [replace(REPLIES[i], id=f"{REPLIES[i].id}-{at}", client="shop") for i in (18, 24)]
            rows = stretch(INFERENCE, 1, [at, at + 1], around).rows
            written.extend(around)
            write_deltalake(other, rows, mode="append", schema_mode="merge")
        return real(self, condition, **options)

    monkeypatch.setattr(DeltaTable, "delete", crossed)
    how = Persistence(sleep=lambda _: None, missed=lambda topic, day: missed.append(day))
    assert all(gone for _, gone in erasure.delete(lake, INFERENCE, days, how))
    assert len(missed) == 3
    assert {each.id for each in written} <= set(ids(lake, INFERENCE))
    assert not {id for rows in days.values() for id in rows.ids} & set(ids(lake, INFERENCE))
    missed.clear()
    again = Persistence(tries=2, sleep=lambda _: None, missed=lambda topic, day: missed.append(day))
    more = erasure.replies(lake, ErasedPerson.of("key", "shop"), LATEST_MS)
    assert next(gone for _, gone in erasure.delete(lake, INFERENCE, more, again)) is False
