from __future__ import annotations

import base64
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.describe.descriptors import NAMES, Describer
from monitor.describe.patterns import Forbidden
from streams import codec
from streams.events import ScoreBatch
from streams.ingest.duplicates import RecentIds
from streams.ingest.prepare import GIVEN, SERVED, Prepared, prepare, sift
from streams.kinds import Arm
from tests.streams.support.fakes import raws
from tests.streams.support.traffic import feedback, served

EVENTS = [served("support", i) for i in range(6)]


def scores(prepared: Prepared) -> list[ScoreBatch]:
    return [codec.decode(ScoreBatch, record.value) for record in prepared.built.scores]


def changed(**fields: object) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(EVENTS[0]) | fields)


def test_each_alias_gets_one_batch_that_covers_all_offsets() -> None:
    prepared = prepare(SERVED, RecentIds(100), raws([*EVENTS, served("billing", 9)], partition=2, first=40))
    support, billing = scores(prepared)
    assert (support.alias, support.partition, support.first_offset, support.last_offset) == ("support", 2, 40, 46)
    assert support.rows.offsets == list(range(40, 46))
    assert billing.rows.ids == ["billing-00000009"]
    assert support.descriptor_names == list(NAMES)
    assert all(len(row) == len(NAMES) for row in support.rows.descriptors)


def test_the_operators_patterns_reach_the_judge() -> None:
    source = replace(SERVED, describe=Describer(Forbidden({"parcel": r"\bparcel\b"})))
    (batch,) = scores(prepare(source, RecentIds(100), raws(EVENTS)))
    assert batch.descriptor_names == [*NAMES, "output_policy_parcel"]
    assert [row[-1] for row in batch.rows.descriptors] == [float(event.output == "parcel") for event in EVENTS]
    assert {row[-1] for row in batch.rows.descriptors} == {0.0, 1.0}


def test_rows_say_what_the_events_say() -> None:
    rows = scores(prepare(SERVED, RecentIds(100), raws(EVENTS)))[0].rows
    assert rows.ids == [event.id for event in EVENTS]
    assert rows.clients == [event.client for event in EVENTS]
    assert rows.latency_ms == [event.latency_ms for event in EVENTS]
    assert rows.arms == ["champion"] * 6
    assert len(rows.fingerprints) == 6


def test_labels_of_drawn_replies_bring_their_weights_and_one_without_a_chance_is_a_dead_letter() -> None:
    plain, other = feedback(EVENTS[0], True), feedback(EVENTS[1], True)
    weighed = msgspec.structs.replace(other, origin="wanted/reviewer", share=0.1, probability=0.05)
    odd = [msgspec.structs.replace(weighed, id=f"odd {k}", probability=k) for k in (-0.5, 2.0)]
    assert scores(prepare(GIVEN, RecentIds(100), raws([plain])))[0].rows.weights == []
    prepared = prepare(GIVEN, RecentIds(100), raws([plain, weighed, *odd]))
    assert scores(prepared)[0].rows.weights == [1.0, 2.0]
    assert ["expected a number above 0, at most 1" in each.reason for each in prepared.dead_letters] == [True, True]


def test_feedback_is_about_the_reply() -> None:
    rows = scores(prepare(GIVEN, RecentIds(100), raws([feedback(EVENTS[0], True), feedback(EVENTS[1], None)])))[0].rows
    assert rows.ids == [EVENTS[0].id, EVENTS[1].id]
    assert (rows.losses, rows.metrics) == ([0.0, None], ["exact_match"] * 2)


def test_rows_say_which_arm_was_drawn_and_for_whom() -> None:
    """Events from before say which one answered: that is what they are counted as."""
    answered = msgspec.structs.replace(served("support", 1), arm=Arm.CANARY)
    stood_in = msgspec.structs.replace(answered, id="2", arm=Arm.CHAMPION, assigned=Arm.CANARY, conversation="77c0")
    rows, _ = SERVED.score([(0, answered), (1, stood_in)], Describer())
    assert rows.assigned == ["canary", "canary"]
    assert rows.units[0] == 0 != rows.units[1]
    labels = [msgspec.structs.replace(feedback(stood_in, True), assigned=drawn) for drawn in (None, Arm.CANARY)]
    told, _ = GIVEN.score(list(enumerate(labels)), Describer())
    assert (told.assigned, told.complaints) == (["champion", "canary"], [False, False])
    alone, _ = SERVED.score([(0, answered)], Describer())
    labelled, _ = GIVEN.score([(0, labels[0])], Describer())
    assert (alone.assigned, alone.units, labelled.assigned) == ([], [], [])  # they would say nothing


def test_duplicates_are_dropped_and_counted() -> None:
    prepared = prepare(SERVED, RecentIds(100), raws([*EVENTS, EVENTS[2]]))
    assert (prepared.events, prepared.duplicates) == (6, 1)
    assert prepared.last_offset == 6


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"\xff\xfe\x00", "malformed"),
        (None, "no value"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field"),
        (changed(latency_ms="fast"), "latency_ms"),
        (changed(arm="queen"), "arm"),
        (changed(schema_version=3), "upgrade this reader"),
        (changed(alias="../../etc"), "alias is '../../etc'"),
        (changed(alias=""), "alias is ''"),
        (changed(id=""), "id is empty"),
        (changed(version="v" * 200), "version has 200"),
        (changed(time_ms=10**15), "set the sender's clock"),
        (changed(time_ms=-1), "time_ms is -1"),
        (changed(latency_ms=7.25).replace(b"7.25", b"1e999"), "out of range"),
        (changed(input_tokens=2**63), "cannot be handled"),
        (changed(output="X").replace(b'"X"', b'"\\ud800"'), "surrogate"),
        (changed(output="\x00\u202e" * 50), None),
        (changed(input_messages=[]), None),
    ],
)
def test_poison_becomes_a_dead_letter_and_the_others_live(value: bytes | None, reason: str | None) -> None:
    events = [EVENTS[1], value, EVENTS[2]]
    prepared = prepare(SERVED, RecentIds(100), raws(events, partition=3, first=10))
    assert set(prepared.built.rows.ids) >= {EVENTS[1].id, EVENTS[2].id}
    if reason is None:
        assert (prepared.events, prepared.dead_letters) == (3, [])
        return
    (letter,) = prepared.dead_letters
    assert reason in letter.reason
    assert (letter.source_topic, letter.partition, letter.offset) == ("inference.events", 3, 11)
    assert base64.b64decode(letter.value) == (value or b"")


@pytest.mark.slow
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_no_bytes_make_it_fail(values: list[bytes]) -> None:
    prepared = prepare(GIVEN, RecentIds(100), raws([*values, feedback(EVENTS[0], True)]))
    assert len(prepared.dead_letters) + prepared.events + prepared.duplicates == len(values) + 1


def test_preparing_again_gives_the_same() -> None:
    recent, taken = RecentIds(100), raws([*EVENTS, b"?", EVENTS[0]])
    first, second = prepare(SERVED, recent, taken), prepare(SERVED, recent, taken)
    assert first.built.scores == second.built.scores
    assert first.built.table == second.built.table
    assert (first.dead_letters, first.duplicates) == (second.dead_letters, second.duplicates)


@given(st.lists(st.integers(0, 3), max_size=20))
def test_sift_finds_exactly_the_poison(items: list[int]) -> None:
    sound, poisoned = sift(lambda some: [1 / x for x in some], items)
    assert sound == [x for x in items if x]
    assert [x for x, _ in poisoned] == [x for x in items if not x]


def test_many_rows_are_several_records_that_cover_every_offset_once(monkeypatch: pytest.MonkeyPatch) -> None:
    log = raws([*(served("support", i) for i in range(25)), b"poison"], first=7)
    (whole,) = prepare(SERVED, RecentIds(10), log).built.scores
    monkeypatch.setattr("streams.ingest.prepare.MOST_ROWS", 10)
    parts = [codec.decode(ScoreBatch, each.value) for each in prepare(SERVED, RecentIds(10), log).built.scores]
    assert [(each.first_offset, each.last_offset) for each in parts] == [(7, 16), (17, 26), (27, 32)]
    ids = [id for each in parts for id in each.rows.ids]
    assert ids == codec.decode(ScoreBatch, whole.value).rows.ids
