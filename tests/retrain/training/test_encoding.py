"""Rows in tokens: how long one is, is known before all of it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retrain.data.example import Lesson
from retrain.training.encoding import AT_FIRST, TOO_LONG, UNSURE, lessons
from retrain.training.objections import objection
from retrain.training.prompting import answer_ids, load_tokenizer, render, token_ids

MOST = 32
FIRST = AT_FIRST * (MOST + UNSURE)
SHORT = Lesson([{"role": "user", "content": "where is my card"}], "late")
Make = Callable[[str], Lesson]
WAYS: dict[str, Make] = {
    "long request": lambda text: Lesson([{"role": "user", "content": text}], "late"),
    "long answer": lambda text: Lesson(SHORT.messages, text),
    "long prompt of completions": lambda text: Lesson([{"role": "text", "content": text}], "late"),
    "long turn before": lambda text: Lesson(
        [{"role": "user", "content": text}, {"role": "assistant", "content": "yes"}, *SHORT.messages], "late"
    ),
}


class Listening:
    """A tokenizer that knows the longest text it was given."""

    def __init__(self, tokenizer: Any) -> None:
        self.inner, self.longest = tokenizer, 0

    def __call__(self, text: str, **options: Any) -> Any:
        self.longest = max(self.longest, len(text))
        return self.inner(text, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.fixture
def tokenizer(model_dir: Path) -> Listening:
    return Listening(load_tokenizer(model_dir))


@pytest.mark.parametrize("way", WAYS)
def test_no_more_of_a_huge_row_is_made_tokens_than_shows_that_it_is_too_long(tokenizer: Listening, way: str) -> None:
    row = WAYS[way]("where is my card and why " * 400_000)  # 10 MB
    assert lessons(tokenizer, [SHORT, row], MOST).left_out == {TOO_LONG: 1}
    assert tokenizer.longest <= FIRST


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("unit", ["a ", "where ", " ", "\n", "ä", "<eos>", "zz"])
def test_rows_are_kept_and_left_out_as_where_all_of_them_is_made_tokens(
    tokenizer: Listening, way: str, unit: str
) -> None:
    for length in (1, MOST - 12, MOST, FIRST // 2, FIRST + 5, 5 * FIRST):
        row = WAYS[way]((unit * length)[:length] + " so")
        found = lessons(tokenizer, [SHORT, row], MOST, max_left_out=1.0)
        whole = _whole(tokenizer, row)
        assert found.left_out == ({whole: 1} if whole else {})


def _whole(tokenizer: Any, row: Lesson) -> str:
    """Why the row is left out where all of it is made tokens."""
    if why := objection(tokenizer, row.messages, row.answer, row.tools):
        return why
    prompt = token_ids(tokenizer, render(tokenizer, row.messages, row.tools))
    return TOO_LONG if len(prompt) + len(answer_ids(tokenizer, row.messages, row.answer)) > MOST else ""
