"""Labels that alarms ask for are listed and given with the command, against a real broker and a lake."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from deploy.config.toml import dump
from streams.clock import now_ms
from streams.events import AlarmRaised, FeedbackGiven, InferenceServed
from streams.kinds import AlarmKind, Severity
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.topics import ALARMS, FEEDBACK, INFERENCE
from tests.streams.support.lakes import put
from tests.streams.support.traffic import feedback, produce, served

pytestmark = pytest.mark.kafka

Run = Callable[..., Result]


@pytest.fixture
def alias() -> str:
    return f"l-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def run(kafka: KafkaSettings, tmp_path: Path) -> Run:
    config = tmp_path / "homeostat.toml"
    stack = {"var": str(tmp_path), "embedded_kafka": False}
    config.write_text(dump({"stack": stack, "kafka": {"bootstrap": kafka.bootstrap}}))
    return lambda *words: CliRunner().invoke(main, ["labels", *words, "--config", str(config)])


def alarm(alias: str, number: int, first: list[str]) -> AlarmRaised:
    return AlarmRaised(
        id=f"{alias}-alarm-{number}",
        alias=alias,
        version=f"{alias}-0123456789ab",
        kind=AlarmKind.DRIFT,
        severity=Severity.INFO,
        time_ms=number,
        first_event="",
        last_event="",
        onset_ms=number,
        evidence={"label_first": first},
        summary=f"changed {number}",
    )


@pytest.fixture
def replies(kafka: KafkaSettings, alias: str, tmp_path: Path) -> list[InferenceServed]:
    """Ten replies; two alarms ask for four of them, the first of which has a label, and for one that is lost."""
    made = [served(alias, i) for i in range(10)]
    put(tmp_path / "lake", INFERENCE, made)
    label = feedback(made[1], True)
    put(tmp_path / "lake", FEEDBACK, [label])
    older, newer = [made[1].id, made[2].id, "lost"], [made[5].id, made[2].id, made[7].id]
    produce(kafka, ALARMS, [alarm(alias, 1, older), alarm(alias, 2, newer)])
    return made


def rows(told: Result) -> list[dict[str, str]]:
    return [json.loads(line) for line in told.stdout.splitlines()]


def test_what_is_asked_for_is_listed_filled_in_and_given(
    kafka: KafkaSettings, run: Run, alias: str, replies: list[InferenceServed], tmp_path: Path
) -> None:
    listed = rows(run("wanted", alias))
    assert [row["id"] for row in listed] == [replies[5].id, replies[2].id, replies[7].id]
    assert listed[0]["question"] == replies[5].input_messages[-1].content
    assert (listed[0]["answer"], listed[0]["alarm"], listed[0]["label"]) == (replies[5].output, "changed 2", "")
    filled = [{**listed[0], "label": replies[5].output.upper()}, {**listed[1], "label": "ann@example.org"}, listed[2]]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in filled))
    for _ in range(2):
        done = run("give", alias, str(file))
        assert done.exit_code == 0, done.output
        assert "2 labels given, 1 rows left without" in done.stdout
    given = [record.event for record in read(kafka, FEEDBACK, FeedbackGiven) if record.event.alias == alias]
    assert len(given) == 4
    assert len({each.id for each in given}) == 2, "given again, they are the same events"
    assert {(each.event_id, each.loss, each.metric, each.source) for each in given} == {
        (replies[5].id, 0.0, "exact_match", "reviewer"),
        (replies[2].id, 1.0, "exact_match", "reviewer"),
    }
    labels = {each.event_id: each.label or "" for each in given}
    assert labels[replies[5].id] == replies[5].output.upper()
    assert labels[replies[2].id].endswith("@mail.invalid"), "masked"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "line 1"),
        (b'{"id": "strange", "question": "", "answer": "", "label": "x"}', "id is 'strange'"),
        (b'{"id": 5, "question": "", "answer": "", "label": "x"}', "Expected `str`"),
    ],
)
@pytest.mark.usefixtures("replies")
def test_a_wrong_row_is_named_and_nothing_is_given(
    kafka: KafkaSettings, run: Run, alias: str, tmp_path: Path, line: bytes, said: str
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(line)
    done = run("give", alias, str(file))
    assert done.exit_code == 1
    assert said in done.stderr
    assert "line 1" in done.stderr
    assert not [record for record in read(kafka, FEEDBACK, FeedbackGiven) if record.event.alias == alias]


def test_a_reply_with_which_no_label_can_be_compared_is_not_asked_for_and_never_wrong(
    kafka: KafkaSettings, run: Run, alias: str, tmp_path: Path
) -> None:
    calls = msgspec.structs.replace(served(alias, 1), output="Let me look.", comparable=False)
    thumbed, silent = served(alias, 2), msgspec.structs.replace(served(alias, 3), output="")
    masked = msgspec.structs.replace(served(alias, 4), output="[email]", schema_version=1)
    made = [calls, thumbed, silent, masked]
    put(tmp_path / "lake", INFERENCE, made)
    thumb = msgspec.structs.replace(feedback(thumbed, None), label=None, thumb=True)
    put(tmp_path / "lake", FEEDBACK, [thumb])
    produce(kafka, ALARMS, [alarm(alias, 1, [each.id for each in made])])
    assert [row["id"] for row in rows(run("wanted", alias))] == [thumbed.id, masked.id], "a thumb is no label"
    file = tmp_path / "rows.jsonl"
    labels = ["something else", "something else", "something else", "ann@example.org"]
    told = [
        {"id": each.id, "question": "", "answer": "", "label": label} for each, label in zip(made, labels, strict=True)
    ]
    told.append({**told[1], "label": "\u200b"})
    file.write_text("".join(json.dumps(row) + "\n" for row in told))
    assert "4 labels given, 1 rows" in run("give", alias, str(file)).stdout
    given = [record.event for record in read(kafka, FEEDBACK, FeedbackGiven) if record.event.alias == alias]
    assert {each.event_id: each.loss for each in given if each.event_id != thumbed.id} == dict.fromkeys(
        [calls.id, silent.id, masked.id]
    )
    assert [each.loss for each in given if each.event_id == thumbed.id] == [1.0]


def test_nobody_asks_for_anything(run: Run) -> None:
    told = run("wanted", "quiet")
    assert told.exit_code == 0
    assert "0 replies of quiet want a label" in told.stderr


def test_audited_replies_without_an_auditors_label_are_listed_and_what_is_given_is_an_audit(
    kafka: KafkaSettings, run: Run, alias: str, tmp_path: Path
) -> None:
    now = now_ms()
    made = [msgspec.structs.replace(served(alias, i), time_ms=now - 1_000 + i, cohorts=["audit"]) for i in range(4)]
    put(tmp_path / "lake", INFERENCE, [*made, msgspec.structs.replace(served(alias, 9), time_ms=now)])
    given = [(made[0], "audit"), (made[1], "volunteered/app")]
    put(tmp_path / "lake", FEEDBACK, [msgspec.structs.replace(feedback(e, True), origin=o) for e, o in given])
    listed = rows(run("wanted", "--audit", alias))
    assert [row["id"] for row in listed] == [each.id for each in made[1:]]
    path = tmp_path / "filled.jsonl"
    path.write_text("".join(json.dumps(row | {"label": "card"}) + "\n" for row in listed))
    assert run("give", alias, str(path)).exit_code == 0
    events = [each.event for each in read(kafka, FEEDBACK, FeedbackGiven) if each.event.alias == alias]
    assert {each.origin for each in events} == {"audit"}
