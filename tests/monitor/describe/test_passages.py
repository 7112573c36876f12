"""Where prompts are cut, and that it does not depend on what stands around."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.describe.passages import COUNTS, LEAST, MOST, packed, passages, read
from monitor.describe.words import READ, words

DOCUMENT = " ".join(f"fact{k * 7 % 400}" for k in range(300))
FIRST, SECOND = "where is my new card, please?", "my transfer to london has been pending since monday. " * 3


def hashes(prompt: str) -> set[int]:
    (row,) = packed(passages(words([prompt])))
    return set(read(row)["hash"].tolist())


@pytest.mark.parametrize(
    "form", ["{d} {q}", "{q} {d}", "{d}\n{q}", "{q}\n\n{d}", "{q}\n{d}\n{q}", '{{"a":"{d}","b":"{q}"}}']
)
def test_a_document_has_the_same_passages_whatever_stands_around(form: str) -> None:
    some = [hashes(form.format(d=DOCUMENT, q=question)) for question in (FIRST, SECOND)]
    assert len(some[0] & some[1]) >= 4
    assert len(some[0] - some[1]) <= 3


def test_a_document_without_blanks_between_words_is_cut_too() -> None:
    text = "".join(chr(0x4E00 + k * 37 % 3_000) for k in range(400))
    one, other = (hashes(f"{text}{question}") for question in ("\u6211\u7684\u5361\u5728\u54ea\u91cc", "\u8f6c\u8d26"))
    assert len(one & other) >= 4


@pytest.mark.parametrize("words_of_a_line", [1, 5, 9, 30, 100_000])
def test_passages_are_few_and_hold_every_word_once(words_of_a_line: int) -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2 * LEAST, 500, 5_000, 100_000):
        drawn = [f"w{k}" for k in rng.integers(0, 900, count)]
        lines = [" ".join(drawn[at : at + words_of_a_line]) for at in range(0, count, words_of_a_line)]
        asked = words(["\n".join(lines)])
        found = passages(asked)
        assert 1 <= len(found.hashes) <= MOST
        assert found.counts[:, COUNTS.index("words")].sum() == asked.lengths[0] == len(asked.places)


@given(st.lists(st.text(alphabet="ab \n\ue000?7\u4e00,", max_size=120), max_size=5))
def test_each_text_is_cut_on_its_own(texts: list[str]) -> None:
    together = packed(passages(words(texts)))
    assert together == [packed(passages(words([text])))[0] for text in texts]


def test_the_middle_of_a_long_text_is_read() -> None:
    filler = "nothing of note is said in this line of the report. " * 2_000
    for most in (READ // 2, 2 * READ):
        around = filler[: most // 2]
        found = words([f"{around} {'parcel ' * 3_000} {around}"])
        assert "parcel" in found.known
