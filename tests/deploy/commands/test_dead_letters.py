"""Dead letters are listed, read and put back with the command, against a real broker."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kafka import KafkaProducer

from deploy.cli import main
from deploy.config.toml import dump
from deploy.operator import dead_letters as letters
from streams import codec
from streams.events import DeadLetter, FeedbackGiven
from streams.kinds import Arm
from streams.log import dead_letters as dlq
from streams.log.read import Raw, ends, read
from streams.log.settings import KafkaSettings
from streams.topics import FEEDBACK, FEEDBACK_DLQ

READABLE = codec.encode(
    FeedbackGiven(id="dlq-cli", event_id="e", time_ms=1, alias="a", version="v", arm=Arm.CHAMPION, by="k", label="x")
)


def letter(offset: int, value: bytes, reason: str = "time_ms is 'x', expected int") -> DeadLetter:
    return dlq.letter(FEEDBACK, Raw(7, offset, 1_000, None, value), reason)


@pytest.fixture
def run(kafka: KafkaSettings, tmp_path: Path) -> Callable[..., Result]:
    config = tmp_path / "homeostat.toml"
    stack = {"var": str(tmp_path), "embedded_kafka": False}
    config.write_text(dump({"stack": stack, "kafka": {"bootstrap": kafka.bootstrap}}))
    return lambda *words: CliRunner().invoke(main, ["dlq", *words, "--config", str(config)])


@pytest.fixture
def queued(kafka: KafkaSettings) -> None:
    """One letter that can be read by now, one that never will, and the first one again, as after a crash."""
    producer = KafkaProducer(acks="all", **kafka.client)
    for each in (letter(41, READABLE), letter(42, b"\xff{"), letter(41, READABLE)):
        producer.send(FEEDBACK_DLQ.name, codec.encode(each)).get(30)
    producer.close()


@pytest.mark.usefixtures("queued")
def test_they_are_listed_shown_and_put_back(kafka: KafkaSettings, run: Callable[..., Result]) -> None:
    listed = run("list", "--topic", FEEDBACK.name).stdout.splitlines()
    assert [line.split()[0] for line in listed if "feedback/7/4" in line] == [
        "inference.feedback/7/41",
        "inference.feedback/7/42",
    ]
    shown = run("show", "inference.feedback/7/42").stdout
    assert "reason   time_ms is 'x', expected int" in shown
    assert "\\xff{" in shown
    before = ends(kafka, FEEDBACK)
    done = run("replay", "inference.feedback/7/41", "inference.feedback/7/42")
    assert done.exit_code == 1
    assert "1 put back, 1 not" in done.stdout
    assert "inference.feedback/7 offset 42: still unreadable" in done.stderr
    assert ends(kafka, FEEDBACK) == before + 1
    assert "dlq-cli" in [record.event.id for record in read(kafka, FEEDBACK, FeedbackGiven)]


def test_a_letter_that_is_damaged_itself_is_told_beside_the_list(
    kafka: KafkaSettings, run: Callable[..., Result]
) -> None:
    producer = KafkaProducer(**kafka.client)
    place = producer.send(FEEDBACK_DLQ.name, b"{").get(30)
    producer.send(FEEDBACK_DLQ.name, b"{", headers=[("ce_type", b"homeostat.Another")]).get(30)
    producer.close()
    listed = run("list", "--topic", FEEDBACK.name)
    assert "left out" not in listed.stdout
    told = [line for line in listed.stderr.splitlines() if "record left out" in line]
    assert len(told) == 1
    for part in (FEEDBACK_DLQ.name, f"offset={place.offset}", "DeadLetter: "):
        assert part in re.sub(r"\x1b\[[0-9;]*m", "", told[0])


def test_what_is_not_there_is_named(run: Callable[..., Result]) -> None:
    assert "there is no dead letter inference.feedback/7/4000" in run("show", "inference.feedback/7/4000").output
    assert "place is '7/1', expected TOPIC/PARTITION/OFFSET" in run("show", "7/1").output
    assert "has no dead-letter queue; those with one: inference.events" in run("list", "--topic", "x").output
    assert "name PLACES, or give --all" in run("replay").output


def test_a_long_value_is_cut_for_people() -> None:
    shown = letters.describe(letter(1, b"x" * (letters.SHOWN + 5)))
    assert shown.endswith("\n... 5 more characters")


def test_what_a_client_wrote_gives_no_order_to_a_terminal() -> None:
    evil = letter(1, "a\tb\n\x1b]0;title\x07\u009b2J é".encode(), "text is '\x1b[2J', expected more")
    assert letters.describe(evil).endswith("a\tb\n\\x1b]0;title\\x07\\x9b2J é")
    assert "\x1b" not in letters.line(evil) + letters.describe(evil)
