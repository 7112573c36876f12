from __future__ import annotations

from streams.topics import FEEDBACK, INFERENCE, RESULTS, SCORES


def test_the_judges_sources_are_cut_alike() -> None:
    assert SCORES.partitions == RESULTS.partitions
    assert INFERENCE.partitions == FEEDBACK.partitions
