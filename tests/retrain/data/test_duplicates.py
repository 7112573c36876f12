"""Near duplicates end up together, others do not."""

from __future__ import annotations

from retrain.data.duplicates import clusters, pieces, similarity
from tests.retrain.support.rows import row


def test_small_changes_are_the_same_question() -> None:
    texts = ["Where is my new card, please?", "where is my new card please", "Where is my new card, pleeease?"]
    assert clusters(texts) == [0, 0, 0]


def test_different_questions_stay_apart() -> None:
    texts = [row(i).text for i in range(200)]
    assert clusters(texts) == list(range(200))


def test_chains_are_one_cluster() -> None:
    """A twin of a twin must not end up on the other side either."""
    base = "the delivery of my parcel is late again and nobody tells me why"
    texts = [base, base + " at all", base + " at all, sadly", "something else entirely"]
    assert clusters(texts) == [0, 0, 0, 3]


def test_short_texts_count_as_a_whole() -> None:
    assert similarity(pieces("hi"), pieces("hi")) == 1.0
    assert similarity(pieces("hi"), pieces("no")) == 0.0


def test_hardly_a_pair_is_missed_that_is_just_alike_enough() -> None:
    """Six letters of 79 are others: a similarity of 0.73."""
    texts = [text for i in range(200) for text in (f"{row(i).text} {row(1000 + i).text}", barely(i))]
    found = clusters(texts)
    alike = [i for i in range(200) if similarity(pieces(texts[2 * i]), pieces(texts[2 * i + 1])) >= 0.7]
    assert len(alike) > 100
    assert sum(found[2 * i] == found[2 * i + 1] for i in alike) >= 0.97 * len(alike)


def barely(number: int) -> str:
    words = f"{row(number).text} {row(1000 + number).text}".split()
    words[3], words[6] = f"{words[3][:2]}zzzz{words[3][6:]}", f"{words[6][:3]}zz{words[6][5:]}"
    return " ".join(words)
