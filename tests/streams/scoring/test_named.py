"""Metrics by name; ROUGE is the library's, on words of every script."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from monitor.metrics import METRICS, rouge_l
from streams.scoring.named import HouseTokenizer, NamedGrader, rouge
from streams.scoring.rows import AnsweredRow, Unjudged
from streams.scoring.settings import FORMALITY, NAMES, READABILITY, ROUGE

FOX, LOG = "The quick brown fox jumps over the lazy dog", "The quick brown dog jumps on the log."
KINDS = dict(zip(ROUGE, ("rouge1", "rouge2", "rougeLsum"), strict=True))


def row(text: str, truth: str | None) -> AnsweredRow:
    return AnsweredRow({"messages": []}, text, [], truth)


def test_the_librarys_own_example() -> None:
    """Its page scores this pair by words and by common subsequence."""
    plain = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"]).score(FOX, LOG)
    assert [rouge(name, LOG, FOX) for name in ROUGE] == [plain[KINDS[name]].fmeasure for name in ROUGE]
    assert rouge_l(LOG, FOX) == plain["rougeL"].fmeasure == pytest.approx(0.5882, abs=1e-4)


@given(st.lists(st.sampled_from("abcde"), max_size=30), st.lists(st.sampled_from("abcde"), max_size=30))
def test_rouge_l_is_the_librarys_number(one: list[str], other: list[str]) -> None:
    given, wanted = " ".join(one), " ".join(other)
    library = RougeScorer(["rougeL"], tokenizer=HouseTokenizer()).score(wanted, given)["rougeL"].fmeasure
    assert rouge_l(given, wanted) == pytest.approx(library if one or other else 1.0)


@pytest.mark.parametrize("name", ROUGE)
def test_words_of_every_script_count(name: str) -> None:
    """The library's own tokenizer drops all that is not ASCII: every Chinese answer would have 0."""
    score = rouge(name, "\u6211\u7684\u5361\u4e22\u4e86", "\u6211\u7684\u5361")
    assert isinstance(score, float)
    assert 0.6 < score < 0.8
    assert rouge(name, "\u041a\u0430\u0440\u0442\u0430.", "\u043a\u0430\u0440\u0442\u0430") == 1.0


@pytest.mark.parametrize("name", ROUGE)
def test_equal_answers_are_perfect_however_short(name: str) -> None:
    assert rouge(name, "Yes.", "yes") == rouge(name, "", "") == 1.0
    assert rouge(name, "yes", "") == rouge(name, "", "no") == 0.0


def test_sentences_are_lines() -> None:
    answer, truth = "a b c\nd e f", "d e f\na b c"
    assert rouge("rouge_lsum", answer, truth) == 1.0 > rouge_l(answer, truth)


async def test_texts_too_long_for_the_librarys_table_are_not_judged() -> None:
    words = [str(number) for number in range(2_000)]
    text, other = " ".join(words), " ".join(random.Random(1).sample(words, len(words)))
    assert await NamedGrader("rouge_lsum").scores([row(text, other)]) == [Unjudged.TOO_LONG]
    (found,) = await NamedGrader("rouge_l").scores([row(text, other)])
    assert isinstance(found, float)


@pytest.mark.parametrize("name", NAMES)
async def test_each_scores_rows_and_none_guesses_a_truth(name: str) -> None:
    scores = await NamedGrader(name).scores([row('{"a": 1}', '{"a": 1}'), row("?", '{"a": 1}'), row("x", None)])
    assert scores == [
        1.0,
        Unjudged.TOO_SHORT if name in (READABILITY, FORMALITY) else 0.0,
        0.0 if name == "json_validity" else Unjudged.NO_TRUTH,
    ]


def test_every_quick_metric_has_a_name() -> None:
    assert set(METRICS) < set(NAMES)
