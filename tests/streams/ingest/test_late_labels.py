"""Labels that no gateway could judge meet their reply in the worker: for every metric, once, whoever dies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as replace_rows
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from msgspec.structs import replace

from streams import codec
from streams.events import DeadLetter, FeedbackGiven, InferenceServed
from streams.ingest.judgement import LATER, Judged, JudgedLoss, LabelledReply
from streams.kinds import Arm
from streams.lake.delta import OURS
from streams.lake.lake import Lake
from streams.lake.table import DAY
from streams.lake.writer import LakeWriter
from streams.log.dead_letters import value
from streams.objects.opening import Storage
from streams.topics import FEEDBACK, FEEDBACK_DLQ, INFERENCE
from tests.streams.support import lakes
from tests.streams.support.fakes import LOGGED_MS, Died, FakeLog
from tests.streams.support.late import NOW_MS, WEEK_S, LateWorker, judged, letters
from tests.streams.support.traffic import served, within

REPLIES = [replace(served("support", i), output="the red card", time_ms=LOGGED_MS) for i in range(20)]


def label(reply: InferenceServed, text: str = "red card", **changes: object) -> FeedbackGiven:
    """A label that the gateway could not judge: it did not know the answer."""
    given = FeedbackGiven(
        id=codec.deterministic_id("feedback", reply.id, text),
        event_id=reply.id,
        time_ms=LOGGED_MS + 30_000,
        alias=reply.alias,
        version=reply.version,
        arm=Arm.CHAMPION,
        by="key",
        label=text,
    )
    return replace(given, **changes)


async def test_a_label_meets_its_reply_in_the_lake_by_the_metric_of_its_alias(storage: Storage) -> None:
    """No worker that ever saw the reply lives: its rows are in the lake alone."""
    await LateWorker(storage, FakeLog()).serve(REPLIES)
    log = FakeLog()
    worker = LateWorker(storage, log, metrics={"support": "token_f1"})
    worker.given([label(REPLIES[0]), label(REPLIES[1], "blue sky"), label(REPLIES[2], correction="x", label=None)])
    await worker.take()
    await worker.look()
    await worker.take()
    assert judged(log) == [(REPLIES[0].id, 0.2), (REPLIES[1].id, 1.0), (REPLIES[2].id, 1.0)]
    assert len(worker.late.waiting) == 0


@pytest.mark.parametrize(
    ("metric", "text", "loss"),
    [
        ("exact_match", "The red card.", 0.0),
        ("exact_match", "red card", 1.0),
        ("token_f1", "red card", 0.2),
        ("rouge_l", "the red card is gone", 0.25),
        ("rouge_l", "no idea at all", 1.0),
        ("json_validity", "{}", 1.0),
    ],
)
async def test_every_metric_judges(tmp_path: Path, metric: str, text: str, loss: float) -> None:
    log = FakeLog()
    worker = LateWorker(within(tmp_path), log, metrics={"support": metric})
    await worker.serve([replace(REPLIES[0], streamed=True)])
    worker.given([label(REPLIES[0], text)])
    await worker.take()
    await worker.look()
    await worker.take()
    assert judged(log) == [(REPLIES[0].id, loss)]


async def test_a_reply_that_waits_for_the_lake_is_found(tmp_path: Path) -> None:
    log = FakeLog()
    worker = LateWorker(within(tmp_path), log)
    await worker.serve(REPLIES[:1], written=False)
    worker.given([label(REPLIES[0])])
    await worker.take(written=False)
    await worker.look()
    await worker.take()
    assert judged(log) == [(REPLIES[0].id, 1.0)]


async def test_a_label_before_its_reply_waits_for_it(storage: Storage) -> None:
    log = FakeLog()
    worker = LateWorker(storage, log)
    worker.given([label(REPLIES[0], "the red card")])
    await worker.take()
    await worker.look()
    assert judged(log) == []
    await worker.serve(REPLIES[:1])
    await worker.look()
    assert judged(log) == [], "it is not looked at all the time"
    worker.now_ms += 60_000
    await worker.look()
    await worker.take()
    assert judged(log) == [(REPLIES[0].id, 0.0)]


async def test_what_judges_a_label_is_an_event_without_text_that_says_which(tmp_path: Path) -> None:
    log = FakeLog()
    worker = LateWorker(within(tmp_path), log)
    await worker.serve(REPLIES[:1])
    given = label(REPLIES[0], source="reviewer")
    worker.given([given])
    await worker.take()
    await worker.look()
    (event,) = log.events(FEEDBACK)
    assert isinstance(event, FeedbackGiven)
    assert event == replace(given, id=event.id, label=None, loss=1.0, metric="exact_match", judges=given.id)
    assert log.of(FEEDBACK)[0].partition == 0


async def test_a_label_that_the_gateway_judged_and_a_thumb_wait_for_nothing(tmp_path: Path) -> None:
    worker = LateWorker(within(tmp_path), FakeLog())
    await worker.late.open([0])
    worker.given([label(REPLIES[0], loss=0.0), label(REPLIES[1], label=None, thumb=True, score=0.3)])
    await worker.take()
    assert len(worker.late.waiting) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"comparable": False},
        {"output": " "},
        {"status": 500},
        {"output": "Mail [email]", "id": "support-masked", "schema_version": 1},
        {"output": "Ring [phone]", "id": "support-unlike", "schema_version": 1},  # or only wrong ones would count
    ],
)
async def test_where_nothing_can_be_compared_a_label_is_unknown_and_waits_no_longer(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    log = FakeLog()
    worker = LateWorker(within(tmp_path), log)
    reply = replace(REPLIES[0], **changes)
    await worker.serve([reply])
    worker.given([label(reply, "Mail [email]")])
    await worker.take()
    await worker.look()
    await worker.take()
    assert judged(log) == []
    assert letters(log) == {}
    assert len(worker.late.waiting) == 0
    successor = LateWorker(within(tmp_path), log, worker.feedback)
    await successor.late.open([0])
    assert len(successor.late.waiting) == 0, "the lake says that it is settled"


async def test_what_a_model_writes_like_a_placeholder_is_compared_as_any_text(tmp_path: Path) -> None:
    """Since version 2 nothing is masked by one: right answers were left out, and wrong ones counted."""
    log = FakeLog()
    worker = LateWorker(within(tmp_path), log)
    replies = [replace(each, output="Mail [email]") for each in REPLIES[:2]]
    await worker.serve(replies)
    worker.given([label(replies[0], "mail [email]."), label(replies[1], "Ring us")])
    await worker.take()
    await worker.look()
    await worker.take()
    assert judged(log) == [(replies[0].id, 0.0), (replies[1].id, 1.0)]


async def test_a_label_without_a_reply_is_a_dead_letter_once_its_wait_is_over(storage: Storage) -> None:
    log = FakeLog()
    worker = LateWorker(storage, log)
    worker.given([label(REPLIES[0])])
    await worker.take()
    worker.now_ms = LOGGED_MS + 30_000 + WEEK_S * 1_000 - 1
    await worker.look()
    assert letters(log) == {}
    worker.now_ms += 1
    await worker.look()
    await worker.take()
    assert letters(log) == {(0, 0): f"no reply with id {REPLIES[0].id} came within 7 days"}
    assert len(worker.late.waiting) == 0
    await worker.look()
    assert len(log.of(FEEDBACK_DLQ)) == 1


async def test_the_id_of_a_reply_stands_in_the_letters_reason_as_it_is(tmp_path: Path) -> None:
    log, id = FakeLog(), "018bcfe5-6800-7123-8456-123456789012"
    worker = LateWorker(within(tmp_path), log, wait_s=60)
    worker.given([label(replace(REPLIES[0], id=id))])
    await worker.take()
    worker.now_ms += 90_000
    await worker.look()
    assert id in letters(log)[0, 0]


async def test_a_letter_that_is_replayed_is_no_duplicate_and_meets_its_reply(storage: Storage) -> None:
    log = FakeLog()
    worker = LateWorker(storage, log, wait_s=3_600)
    worker.given([label(REPLIES[0])])
    await worker.take()
    worker.now_ms += 3_600_000
    await worker.look()
    await worker.take()
    await worker.serve(REPLIES[:1])
    (letter,) = log.events(FEEDBACK_DLQ)
    assert isinstance(letter, DeadLetter)
    worker.given([codec.decode(FeedbackGiven, value(letter))])
    await worker.take()
    await worker.look()
    await worker.take()
    assert judged(log) == [(REPLIES[0].id, 1.0)]


async def test_a_score_that_is_not_known_yet_is_asked_for_again(tmp_path: Path) -> None:
    log, asked = FakeLog(), list[LabelledReply]()

    async def judge(rows: Sequence[LabelledReply]) -> list[Judged]:
        asked.extend(rows)
        return [LATER if len(asked) == 1 else JudgedLoss(0.3, "tone") for _ in rows]

    worker = LateWorker(within(tmp_path), log, judge=judge)
    await worker.serve(REPLIES[:1])
    worker.given([label(REPLIES[0])])
    await worker.take()
    await worker.look()
    assert judged(log) == []
    worker.now_ms += 60_000
    await worker.look()
    await worker.take()
    assert judged(log) == [(REPLIES[0].id, 0.3)]
    assert asked[0] == LabelledReply(REPLIES[0], "red card"), "the whole request is at hand"


async def test_a_metric_that_never_gives_a_score_ends_in_a_letter(tmp_path: Path) -> None:
    async def away(rows: Sequence[LabelledReply]) -> list[Judged]:
        return [LATER for _ in rows]

    log = FakeLog()
    worker = LateWorker(within(tmp_path), log, judge=away, wait_s=3_600)
    await worker.serve(REPLIES[:1])
    worker.given([label(REPLIES[0])])
    await worker.take()
    worker.now_ms += 3_600_000
    await worker.look()
    assert letters(log) == {(0, 0): f"the reply {REPLIES[0].id} could not be judged within 0.0417 days"}


async def test_a_metric_that_fails_leaves_labels_waiting(tmp_path: Path) -> None:
    asked = list[int]()

    async def failing(rows: Sequence[LabelledReply]) -> list[Judged]:
        asked.append(len(rows))
        if len(asked) == 1:
            raise RuntimeError("no metric")
        return [JudgedLoss(0.0, "tone")] * len(rows)

    log = FakeLog()
    worker = LateWorker(within(tmp_path), log, judge=failing)
    await worker.serve(REPLIES)
    worker.given([label(each) for each in REPLIES])
    await worker.take()
    await worker.look()
    assert len(worker.late.waiting) == len(REPLIES)
    worker.now_ms += 60_000
    await worker.look()
    await worker.take()
    assert sorted(judged(log)) == [(each.id, 0.0) for each in REPLIES]


async def test_a_reply_that_cannot_be_read_keeps_no_other_label_waiting(tmp_path: Path) -> None:
    storage, log = within(tmp_path), FakeLog()
    odd = lakes.stretch(INFERENCE, 1, [0, 1], REPLIES[:2])
    arms = pa.array(["no arm", "champion"])
    rows = odd.rows.set_column(odd.rows.schema.get_field_index("arm"), "arm", arms)
    writer = LakeWriter(Lake.of(storage), INFERENCE)
    writer.add(replace_rows(odd, rows=rows))
    writer.commit()
    worker = LateWorker(storage, log)
    worker.given([label(each) for each in REPLIES[:2]])
    await worker.take()
    await worker.look()
    await worker.take()
    assert judged(log) == [(REPLIES[1].id, 1.0)]
    assert len(worker.late.waiting) == 1


@pytest.mark.parametrize("dies_at", range(6))
async def test_wherever_a_worker_dies_each_label_is_judged_once(storage: Storage, dies_at: int) -> None:
    """A successor takes in again what was not acknowledged, all of it here, with what was sent by the one that died."""
    log = FakeLog()
    lone = label(served("support", 99))
    died = LateWorker(storage, log, metrics={"support": "token_f1"})
    await died.serve(REPLIES)
    died.given([*(label(each) for each in REPLIES[:10]), lone])
    log.dies_at = len(log.calls) + dies_at
    try:
        await died.take()
        await died.look()
        await died.take()
        died.now_ms += WEEK_S * 1_000
        await died.look()
        await died.take()
    except Died:
        died.echo()
    log.dies_at = None
    worker = LateWorker(storage, log, died.feedback, metrics={"support": "token_f1"})
    worker.now_ms = NOW_MS + WEEK_S * 1_000
    await worker.take()
    await worker.look()
    await worker.take()
    await worker.look()
    assert judged(log) == [(each.id, 0.2) for each in REPLIES[:10]]
    assert letters(log) == {(0, 10): f"no reply with id {lone.event_id} came within 7 days"}
    known = lakes.table(Lake.of(storage), FEEDBACK)
    assert known is not None
    losses = zip(known["event_id"].to_pylist(), known["loss"].to_pylist(), strict=True)
    assert sorted(id for id, loss in losses if loss is not None) == [each.id for each in REPLIES[:10]]
    assert sorted(set(filter(None, known["judges"].to_pylist()))) == sorted(
        [*(label(each).id for each in REPLIES[:10]), lone.id]
    )


async def test_a_successor_reads_from_the_lake_which_labels_wait(storage: Storage) -> None:
    log = FakeLog()
    died = LateWorker(storage, log)
    died.given([label(each) for each in REPLIES])
    await died.take()
    await died.look()
    successor = LateWorker(storage, log, died.feedback)
    successor.read = len(died.feedback)
    await successor.serve(REPLIES[:12])
    await successor.look()
    await successor.take()
    assert sorted(judged(log)) == [(each.id, 1.0) for each in REPLIES[:12]]
    assert len(successor.late.waiting) == 8


async def test_more_labels_than_fit_are_read_again_once_there_is_room(tmp_path: Path) -> None:
    log = FakeLog()
    worker = LateWorker(within(tmp_path), log)
    worker.late.waiting.most = 4
    await worker.serve(REPLIES)
    await worker.late.open([0])
    worker.given([label(each) for each in REPLIES])
    await worker.take()
    assert len(worker.late.waiting) == 4
    for _ in range(8):
        await worker.look()
        await worker.take()
    assert sorted(judged(log)) == [(each.id, 1.0) for each in REPLIES]
    assert len(worker.late.waiting) == 0


async def test_a_lake_of_before_has_no_judgements_and_is_read(tmp_path: Path) -> None:
    """Its table lacks the column."""
    storage, worker = within(tmp_path), LateWorker(within(tmp_path), FakeLog())
    await worker.serve(REPLIES)
    older = lakes.stretch(FEEDBACK, 0, [0], [label(REPLIES[0])]).rows.drop_columns(["judges"])
    table = DeltaTable.create(
        f"{Lake.of(storage).url}/feedback",
        older.schema,
        partition_by=[DAY],
        configuration={OURS: FEEDBACK.name},
        raise_if_key_not_exists=False,
    )
    write_deltalake(table, older, mode="append")
    await worker.look()
    assert [event.judges for event in worker.log.events(FEEDBACK) if isinstance(event, FeedbackGiven)] == [
        label(REPLIES[0]).id
    ]


async def test_labels_of_a_person_who_was_forgotten_wait_no_longer(tmp_path: Path) -> None:
    storage = within(tmp_path)
    worker = LateWorker(storage, FakeLog())
    worker.given([label(REPLIES[0])])
    await worker.take()
    await worker.late.open([0])
    assert len(worker.late.waiting) == 1
    table = Lake.of(storage).table(FEEDBACK)
    assert table is not None
    table.delete("event_id IS NOT NULL")
    await worker.look()
    assert len(worker.late.waiting) == 0
    assert worker.log.of(FEEDBACK) == []


async def test_partitions_that_were_taken_away_are_read_again(tmp_path: Path) -> None:
    log = FakeLog()
    worker = LateWorker(within(tmp_path), log)
    worker.given([label(REPLIES[0])])
    await worker.take()
    await worker.look()
    worker.late.forget()
    assert await worker.late.judge() == 0
    await worker.serve(REPLIES[:1])
    await worker.look()
    await worker.take()
    assert judged(log) == [(REPLIES[0].id, 1.0)]


async def test_replies_of_another_partition_are_found(tmp_path: Path) -> None:
    """Partitions were added since: the reply is where it was."""
    storage, log = within(tmp_path), FakeLog()
    lakes.put(Lake.of(storage), INFERENCE, REPLIES[:1], partition=3)
    worker = LateWorker(storage, log)
    worker.given([label(REPLIES[0])])
    await worker.take()
    await worker.look()
    await worker.take()
    assert judged(log) == [(REPLIES[0].id, 1.0)]
