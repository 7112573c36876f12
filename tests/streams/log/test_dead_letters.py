from __future__ import annotations

import pytest

from monitor.describe.private.surrogates import Surrogates
from streams.events import DeadLetter
from streams.log import dead_letters as dlq
from streams.log.read import Raw
from streams.topics import FEEDBACK, INFERENCE, RESULTS, ROUTES, SCORES, TOPICS
from tests.streams.support.fakes import raws
from tests.streams.support.traffic import served


def test_a_letter_keeps_the_bytes_and_the_place() -> None:
    letter = dlq.letter(INFERENCE, Raw(3, 9, 77, None, b"\xff{"), "x" * 5_000)
    assert dlq.value(letter) == b"\xff{"
    assert (letter.partition, letter.offset, letter.time_ms, len(letter.reason)) == (3, 9, 77, dlq.LONGEST_REASON)
    assert dlq.letter_id(letter) == dlq.letter_id(dlq.letter(INFERENCE, Raw(3, 9, 77, None, b""), "other"))


def test_a_letter_too_long_is_cut_and_says_so() -> None:
    letter = dlq.letter(INFERENCE, Raw(0, 0, 0, None, b"x" * (dlq.LONGEST + 1)), "too odd")
    assert len(dlq.value(letter)) == dlq.LONGEST
    assert letter.reason.endswith(dlq.CUT)


class Appended:
    def __init__(self) -> None:
        self.events: list[object] = []

    def append(self, topic: object, event: object, *, id: str, time_ms: int) -> int:
        self.events.append(event)
        return 0


def test_replay_puts_back_what_can_be_read_and_says_why_not() -> None:
    good, bad = raws([served("support", 1), b"{"])
    letters = [dlq.letter(INFERENCE, raw, "once unreadable") for raw in (good, bad)]
    unknown = DeadLetter(source_topic="x", partition=0, offset=0, reason="odd", value="", time_ms=0)
    appended = Appended()
    done, refused = dlq.replay(appended, [*letters, unknown])  # type: ignore[arg-type]
    assert (done, appended.events) == (1, [served("support", 1)])
    assert [each.split(": ")[0] for each in refused] == ["inference.events/0 offset 1", "x/0 offset 0"]


def test_every_source_has_a_queue_that_holds_its_largest_record() -> None:
    for source in (INFERENCE, FEEDBACK, SCORES, RESULTS):
        assert dlq.queue(source).max_bytes >= min(source.max_bytes, dlq.LONGEST) * 4 / 3
        assert dlq.queue(source) in TOPICS
    with pytest.raises(LookupError, match=r"serving\.routes"):
        dlq.queue(ROUTES)


def test_a_reason_keeps_the_surrogates_of_the_gateway_and_blots_out_what_none_masked() -> None:
    private = {
        "email": "ann@example.org",
        "card": "4111 1111 1111 1111",
        "phone": "+49 171 2345678",
        "iban": "GB29 NWBK 6016 1331 9268 19",
    }
    surrogates = [Surrogates(b"a key")(kind, each) for kind, each in private.items()]
    reason = dlq.letter(INFERENCE, Raw(0, 0, 0, None, b"{"), f"label is {'; '.join(surrogates)}").reason
    assert reason == f"label is {'; '.join(surrogates)}"
    blotted = dlq.letter(INFERENCE, Raw(0, 0, 0, None, b"{"), f"label is {'; '.join(private.values())}").reason
    assert blotted == "label is [email]; [card]; [phone]; [iban]"
