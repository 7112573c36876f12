"""Near duplicates end up together, others do not."""

from __future__ import annotations

from retrain.duplicates import clusters, pieces, similarity
from tests.retrain.rows import row


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
