"""Which words are in a text, many looked for at once: the same as one after the other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.describe.private.needles import Needles

WORDS = (b"=", b"key", b"pass", b"parol", b"parool", b"kodeord", b"cookie", b"curl ", "\u5bc6\u7801".encode())
NEEDLES = Needles(dict.fromkeys(WORDS))
PARTS = st.sampled_from([*WORDS, *(word[:-1] for word in WORDS), *(word[1:] for word in WORDS), b"\0", b"n" * 300])


@given(st.lists(PARTS, max_size=12).map(b"".join))
def test_each_word_in_a_text_is_found_and_no_other(text: bytes) -> None:
    found = NEEDLES.within(text)
    assert sorted(found) == sorted(word for word in WORDS if word in text)


def test_a_text_full_of_words_and_of_their_begins_has_what_it_has() -> None:
    assert NEEDLES.within(b"parokodecook" * 1_000) == []
    assert NEEDLES.within(b"paroparool" * 1_000) == [b"parool"]
