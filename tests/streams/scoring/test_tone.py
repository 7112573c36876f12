"""Tone by the text alone: LIX and marks of casual writing, against texts whose figures are known."""

from __future__ import annotations

import pytest

from streams.scoring.named import NamedGrader
from streams.scoring.rows import AnsweredRow, Unjudged
from streams.scoring.tone import formality, lix

EASY = "The cat sat on the mat. It was warm and it was glad. The dog ran off to the sea."
HARD = (
    "Notwithstanding preceding correspondence, the administrative department reserves unconditional discretion "
    "concerning reimbursement of additional expenditures incurred during international transportation."
)


def answered(text: str, truth: str | None) -> AnsweredRow:
    return AnsweredRow({"messages": []}, text, [], truth)


def test_lix_is_words_to_a_sentence_and_the_share_of_long_words() -> None:
    """Counted by hand: 20 words in 3 sentences, none of them long; 20 words in one, 16 of more than six letters."""
    assert lix(EASY) == pytest.approx(20 / 3)
    words = HARD.rstrip(".").split()
    long = sum(len(word.strip(",")) > 6 for word in words)
    assert lix(HARD) == pytest.approx(len(words) + 100 * long / len(words))
    assert lix(HARD) > 60 > 30 > lix(EASY)  # type: ignore[operator]


def test_it_works_in_any_language_with_blanks_and_says_nothing_of_others() -> None:
    assert lix("Die Bestellung ist unterwegs. Sie kommt in einigen Tagen an.") == pytest.approx(5.0 + 100 * 3 / 10)
    assert lix("\u6771\u4eac\u306f\u65e5\u672c\u306e\u9996\u90fd\u3067\u3059\u3002") is None
    assert lix("refund") is None


@pytest.mark.parametrize(
    "text",
    [
        "hey, it is on its way.",
        "It is on its way!!",
        "It is sooooo late.",
        "It came 😀.",
        "WHERE IS THAT CARD?",
        "It came :)",
    ],
)
def test_marks_of_casual_writing_are_seen(text: str) -> None:
    assert formality(text) == 0.0
    assert formality("Your card is on its way. The IBAN is DE00.") == 1.0


async def test_as_metrics_they_compare_with_the_truths_tone() -> None:
    for name in ("readability", "formality"):
        grader = NamedGrader(name)
        same, unknown = await grader.scores([answered("Yes.", "yes"), answered(EASY, None)])
        assert (same, unknown) == (1.0, Unjudged.NO_TRUTH)
    readability = NamedGrader("readability")
    like, unlike, short = await readability.scores(
        [answered(EASY, EASY + " It slept."), answered(HARD, EASY), answered("No.", EASY)]
    )
    assert isinstance(like, float)
    assert like > 0.95
    assert unlike == 0.0
    assert short is Unjudged.TOO_SHORT
    assert await NamedGrader("formality").scores([answered("hey!! it came", "It has come. Thank you.")]) == [0.0]


async def test_a_set_of_labels_is_scored_however_it_is_written() -> None:
    grader = NamedGrader("set_f1")
    given = [("late, refund", '["refund", "late"]'), ("late", "late\nrefund"), ("[]", ""), ("", "late")]
    assert await grader.scores([answered(*each) for each in given]) == [1.0, pytest.approx(2 / 3), 1.0, 0.0]
