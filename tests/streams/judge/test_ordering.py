from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.operator_answer import OperatorAnswer
from monitor.rows import ScoreRows, joined
from streams import codec
from streams.events import AlarmAnswered, Event, PartitionsPassed, ScoreBatch
from streams.judge.ordering import AnswerPiece, Merge, Ordering, Piece
from streams.log.read import Raw
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support.oracle import in_order

ALIASES = ("support", "search")
PARTITIONS = {INFERENCE.name: 2, FEEDBACK.name: 2}
ORIGINS = [(topic, p) for topic, count in PARTITIONS.items() for p in range(count)]
Origin = tuple[str, int]
Judged = tuple[str, int, list[int], int, bool]  # topic, partition, offsets, the log's time, and whether a turn ends


@dataclass(slots=True)
class World:
    """Partitions of events, each with the time the log took it, and what workers made of them so far."""

    rng: random.Random
    logged_ms: dict[Origin, list[int]] = field(default_factory=dict)
    done: dict[Origin, int] = field(default_factory=dict)
    scores: list[Event] = field(default_factory=list)

    def take_in(self, origin: Origin, first: int, end: int) -> None:
        """A worker scores these events of a partition."""
        for alias in ALIASES:
            offsets = [at for at in range(first, end) if ALIASES[at % 2] == alias]
            if offsets:
                times = self.logged_ms[origin]
                self.scores.append(scored(alias, origin, offsets, [times[at] for at in offsets]))
        self.done[origin] = max(self.done.get(origin, 0), end)

    def tell(self, origins: Sequence[Origin]) -> None:
        """A worker tells how far these are."""
        passed = {}
        for origin in origins:
            times, done = self.logged_ms[origin], self.done.get(origin, 0)
            if done:
                passed[f"{origin[0]}/{origin[1]}"] = 100_000 if done == len(times) else times[done - 1]
        self.scores.append(PartitionsPassed(worker="worker", passed_ms=passed, partitions=PARTITIONS))


def scored(alias: str, origin: Origin, offsets: list[int], logged_ms: list[int]) -> ScoreBatch:
    ids, empty = [f"{origin}-{at}" for at in offsets], [""] * len(offsets)
    rows = ScoreRows(
        offsets=offsets,
        ids=ids,
        times_ms=logged_ms,
        versions=empty,
        arms=empty,
        clients=empty,
        logged_ms=logged_ms,
    )
    return ScoreBatch(
        alias=alias,
        source_topic=origin[0],
        partition=origin[1],
        first_offset=offsets[0],
        last_offset=offsets[-1],
        descriptor_names=[],
        rows=rows,
    )


def lived(rng: random.Random) -> World:
    """Workers take events in at their own pace, begin again before where they were, and tell in between."""
    world = World(rng)
    for origin in ORIGINS:
        world.logged_ms[origin] = sorted(rng.choices(range(0, 9_000, 250), k=rng.randrange(1, 30)))
    while left := [each for each in ORIGINS if world.done.get(each, 0) < len(world.logged_ms[each])]:
        origin = rng.choice(left)
        first = max(0, world.done.get(origin, 0) - rng.choice((0, 0, 0, 3)))
        world.take_in(origin, first, min(len(world.logged_ms[origin]), first + rng.randrange(1, 9)))
        if rng.random() < 0.5:
            world.tell(rng.sample(ORIGINS, rng.randrange(1, 5)))
    world.tell(ORIGINS)
    return world


def log(events: Sequence[Event]) -> list[Raw]:
    return [Raw(0, i, 50_000, b"", codec.encode(event)) for i, event in enumerate(events)]


@dataclass(slots=True)
class Judge:
    """Takes pieces as the judge does: what its memory covers changes nothing."""

    heads: dict[tuple[str, str, int], int] = field(default_factory=dict)
    judged: dict[str, list[Judged]] = field(default_factory=dict)

    def take(self, merge: Merge) -> None:
        turn, pieces = merge.ready(0.0)
        for piece in pieces:
            assert isinstance(piece, Piece)
            scores = piece.scores
            place = scores.alias, scores.source_topic, scores.partition
            rows = scores.rows.after(self.heads.get(place, 0))
            if len(rows) and scores.last_offset >= self.heads.get(place, 0):
                self.judged.setdefault(scores.alias, []).append(
                    (*place[1:], rows.offsets, piece.time_ms, piece.ends_tick)
                )
                self.heads[place] = scores.last_offset + 1
        merge.release(turn)


def expected(world: World, alias: str) -> list[Judged]:
    mine = [each for each in world.scores if isinstance(each, ScoreBatch) and each.alias == alias]
    return [(each.source_topic, each.partition, each.rows.offsets, ms, ends) for each, ms, ends in in_order(mine)]


@pytest.mark.slow
@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_what_is_judged_depends_on_the_log_alone(seed: int) -> None:
    rng = random.Random(seed)
    world = lived(rng)
    records, judge = log(world.scores), Judge()
    merge, at = Merge(Ordering(), 0.0), 0
    while at < len(records):
        for record in records[at : (end := at + rng.randrange(1, 6))]:
            merge.add(record, 0.0)
        at = end
        judge.take(merge)
        if rng.random() < 0.3:  # the worker died: another begins where nothing is settled
            at = merge.waits_from
            merge = Merge(Ordering(), 0.0, read_to=at)
    assert judge.judged == {alias: found for alias in ALIASES if (found := expected(world, alias))}
    assert merge.rows == 0
    assert merge.waits_from == len(records)


def merge_of(events: Sequence[Event], ordering: Ordering | None = None) -> Merge:
    merge = Merge(ordering or Ordering(), 0.0)
    for record in log(events):
        merge.add(record, 0.0)
    return merge


def passed(ms: int, *origins: str) -> PartitionsPassed:
    return PartitionsPassed(worker="w", passed_ms=dict.fromkeys(origins, ms), partitions=dict.fromkeys(PARTITIONS, 1))


ALL = f"{INFERENCE.name}/0", f"{FEEDBACK.name}/0"
REPLY = scored("support", (INFERENCE.name, 0), [4], [1_500])
LABEL = scored("support", (FEEDBACK.name, 0), [7], [1_200])


def judged(merge: Merge, now_s: float = 0.0, until: int = 0) -> Iterator[str]:
    turn, pieces = merge.ready(now_s, until)
    merge.release(turn)
    return (
        f"answer/{piece.record.offset}"
        if isinstance(piece, AnswerPiece)
        else f"{piece.scores.source_topic}/{piece.scores.first_offset}"
        for piece in pieces
    )


def operator_answer(time_ms: int) -> AlarmAnswered:
    answer = OperatorAnswer(version="v1", verb="clear", by="cli", time_ms=time_ms)
    return AlarmAnswered(id=f"answer-{time_ms}", alias="support", time_ms=time_ms, answer=answer)


def test_what_an_operator_says_ends_its_second() -> None:
    """The next second's replies are judged after it, however they came."""
    later = scored("support", (INFERENCE.name, 0), [5], [2_000])
    merge = merge_of([operator_answer(1_100), LABEL, REPLY, later])
    assert (list(judged(merge)), merge.waits_from) == ([], 0)
    merge.add(msgspec.structs.replace(log([passed(3_000, *ALL)])[0], offset=4), 0.0)
    order = [f"{INFERENCE.name}/4", f"{FEEDBACK.name}/7", "answer/0", f"{INFERENCE.name}/5"]
    assert list(judged(merge)) == order
    assert merge.waits_from == 5


def test_what_an_operator_says_comes_after_what_was_judged_whoever_reads_it_again() -> None:
    records = log([REPLY, passed(6_000, *ALL), operator_answer(1_100), passed(7_000, *ALL)])
    one, other = Merge(Ordering(), 0.0), Merge(Ordering(), 0.0)
    one.add(records[0], 0.0)
    one.add(records[1], 0.0)
    assert list(judged(one)) == [f"{INFERENCE.name}/4"]
    one.add(records[2], 0.0)
    assert list(judged(one)) == ["answer/2"]
    for record in records:
        other.add(record, 0.0)
    assert list(judged(other)) == [f"{INFERENCE.name}/4", "answer/2"]


def test_a_clock_that_is_ahead_does_not_silence_an_operator() -> None:
    merge = merge_of([passed(3_000, *ALL), operator_answer(900_000), passed(20_000, *ALL)])
    assert list(judged(merge)) == ["answer/1"]


def test_what_waits_for_too_long_takes_what_an_operator_said_with_it() -> None:
    merge = merge_of([REPLY, operator_answer(1_600), LABEL])
    assert list(judged(merge, until=2)) == [f"{INFERENCE.name}/4", f"{FEEDBACK.name}/7", "answer/1"]


def test_replies_come_before_labels_of_their_second() -> None:
    assert list(judged(merge_of([LABEL, REPLY, passed(2_000, *ALL)]))) == ["inference.events/4", "inference.feedback/7"]


def test_the_last_labels_of_a_turn_say_so_whatever_partitions_it_lies_in() -> None:
    """One person's labels may lie in several: what belongs together is known before it is judged."""
    other = scored("support", (FEEDBACK.name, 1), [3], [1_900])
    later = scored("support", (FEEDBACK.name, 0), [8], [2_100])
    two = msgspec.structs.replace(passed(3_000, *ALL, "inference.feedback/1"), partitions={FEEDBACK.name: 2})
    _, pieces = merge_of([other, LABEL, later, REPLY, two]).ready(0.0)
    found = [
        (piece.scores.source_topic, piece.scores.first_offset, piece.ends_tick)
        for piece in pieces
        if isinstance(piece, Piece)
    ]
    assert [(at, ends) for _, at, ends in found] == [(4, True), (7, False), (3, True), (8, True)]


@pytest.mark.parametrize("early", [passed(1_999, *ALL), passed(2_000, ALL[0]), passed(2_000, ALL[1])])
def test_nothing_is_judged_before_all_have_passed_it(early: PartitionsPassed) -> None:
    merge = merge_of([REPLY, early])
    assert list(judged(merge)) == []
    assert (merge.rows, merge.waits_from) == (1, 0)


def test_of_two_partitions_none_is_forgotten_because_it_was_not_heard_of_yet() -> None:
    two = msgspec.structs.replace(passed(2_000, *ALL), partitions={INFERENCE.name: 2, FEEDBACK.name: 1})
    assert list(judged(merge_of([REPLY, two]))) == []


def test_a_worker_that_has_not_heard_of_the_partitions_yet_lets_nothing_go() -> None:
    none = msgspec.structs.replace(passed(2_000, ALL[0]), partitions=dict.fromkeys(PARTITIONS, 0))
    assert list(judged(merge_of([REPLY, none]))) == []
    assert list(judged(merge_of([passed(2_000, *ALL), LABEL, REPLY, none]))) == [
        "inference.events/4",
        "inference.feedback/7",
    ]


def test_a_partition_that_does_not_move_holds_the_others_up_for_a_while() -> None:
    merge = merge_of([REPLY, passed(2_000, ALL[0])], Ordering(patience_s=60))
    assert list(judged(merge, 60.0)) == []
    merge.add(Raw(0, 9, 0, b"", codec.encode(passed(2_500, ALL[0]))), 50.0)
    assert list(judged(merge, 61.0)) == ["inference.events/4"]
    assert merge.left_out == [ALL[1]]


def test_workers_of_an_earlier_release_who_tell_nothing_are_judged_late() -> None:
    old = msgspec.structs.replace(REPLY, rows=msgspec.structs.replace(REPLY.rows, logged_ms=[]))
    merge = merge_of([old])
    assert list(judged(merge, 59.0)) == []
    assert list(judged(merge, 61.0)) == ["inference.events/4"]


def test_what_only_a_rollout_asks_for_goes_into_no_ledger_of_the_judge() -> None:
    rows = msgspec.structs.replace(REPLY.rows, assigned=["canary"], units=[7], complaints=[])
    _, pieces = merge_of([msgspec.structs.replace(REPLY, rows=rows), passed(2_000, *ALL)]).ready(0.0)
    assert [(piece.scores.rows.assigned, piece.scores.rows.units) for piece in pieces] == [([], [])]  # type: ignore[union-attr]


def test_rows_with_and_without_arms_that_were_drawn_are_judged_at_once() -> None:
    some = [scored("support", (INFERENCE.name, 0), [i], [1_000]) for i in (0, 1)]
    drawn = msgspec.structs.replace(some[1].rows, assigned=["canary"], units=[7])
    _, pieces = merge_of([some[0], msgspec.structs.replace(some[1], rows=drawn), passed(3_000, *ALL)]).ready(0.0)
    assert [piece.scores.rows.offsets for piece in pieces] == [[0, 1]]  # type: ignore[union-attr]


def test_what_there_is_no_room_for_is_judged_as_it_came_and_the_rest_waits() -> None:
    many = [scored("support", (INFERENCE.name, 0), [i], [1_000 * i]) for i in range(10)]
    merge = merge_of(many)
    assert len(list(judged(merge, until=6))) == 6
    assert (merge.rows, merge.waits_from) == (4, 6)
    assert list(judged(merge, until=6)) == []


def test_a_clock_of_the_log_that_steps_back_turns_no_order_around() -> None:
    before, after = (scored("support", (INFERENCE.name, 0), [at], [ms]) for at, ms in ((10, 5_000), (11, 4_999)))
    _, pieces = merge_of([before, after, passed(9_000, *ALL)]).ready(0.0)
    assert [piece.scores.rows.offsets for piece in pieces if isinstance(piece, Piece)] == [[10, 11]]


def test_what_comes_after_its_turn_is_judged_when_it_comes() -> None:
    merge = merge_of([REPLY, passed(5_000, *ALL)])
    assert list(judged(merge)) == ["inference.events/4"]
    merge.add(Raw(0, 9, 0, b"", codec.encode(LABEL)), 0.0)
    assert list(judged(merge)) == ["inference.feedback/7"]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (b"{", "ScoreBatch"),
        (codec.encode(msgspec.structs.replace(REPLY, source_topic="elsewhere")), "source_topic is 'elsewhere'"),
        (codec.encode(REPLY).replace(b'"clients":[""]', b'"clients":["",""]'), "rows.clients has not as many"),
    ],
)
def test_what_cannot_be_read_is_named_and_passed_over(value: bytes, named: str) -> None:
    merge = Merge(Ordering(), 0.0)
    with pytest.raises(ValueError, match=named):
        merge.add(Raw(0, 3, 0, b"", value), 0.0)
    assert (merge.rows, merge.waits_from) == (0, 4)


@pytest.mark.parametrize("name", ["tick_ms", "patience_s", "room"])
def test_an_ordering_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"Ordering.{name} is 0, expected more than 0"):
        Ordering(**{name: 0})


def test_columns_that_only_one_part_has_are_not_made_up() -> None:
    more = msgspec.structs.replace(REPLY.rows, statuses=[200])
    with pytest.raises(ValueError, match="only one part has statuses"):
        joined([REPLY.rows, more])
    assert joined([REPLY.rows, REPLY.rows]).ids == 2 * REPLY.rows.ids


def test_rows_whose_labels_are_awaited_join_those_whose_are_not() -> None:
    awaited = msgspec.structs.replace(REPLY.rows, cohorts=[["audit"]])
    assert joined([REPLY.rows, awaited]).cohorts == [[], ["audit"]]
