"""A key's partition is the one that every Kafka client gives it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import partitioner

from streams.journal.partitioner import ByKey, murmur2


class Cluster:
    """What a partitioner asks of a cluster's metadata: one topic with that many partitions."""

    def __init__(self, count: int) -> None:
        self._there = set(range(count))

    def topics(self) -> set[str]:
        return {"here"}

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self._there if topic == "here" else None

    available_partitions_for_topic = partitions_for_topic


@given(st.binary(max_size=60))
def test_hashes_are_kafkas(key: bytes) -> None:
    assert murmur2(key) == partitioner.murmur2(key)


@given(st.binary(max_size=40), st.integers(1, 12))
def test_partitions_are_kafkas(key: bytes, count: int) -> None:
    asked = ("here", None, key, None, b"", Cluster(count))
    assert ByKey().partition(*asked) == partitioner.DefaultPartitioner().partition(*asked)


def test_an_unknown_topic_is_named() -> None:
    with pytest.raises(ValueError, match="'gone' does not exist"):
        ByKey().partition("gone", None, b"key", None, b"", Cluster(1))
