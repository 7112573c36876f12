from __future__ import annotations

from streams import metrics
from streams.worker.lag import PartitionLag, TopicPartition, Watchdog


def test_who_has_nothing_to_do_is_not_stalled() -> None:
    dog, place = Watchdog(10), TopicPartition("inference.events", 0)
    assert dog.look([PartitionLag(place, 5, 5)], 0) == []
    assert dog.look([PartitionLag(place, 5, 5)], 100) == []
    assert dog.look([PartitionLag(place, 9, 5)], 101) == []
    assert dog.look([PartitionLag(place, 9, 5)], 110) == [PartitionLag(place, 9, 5)]
    assert dog.look([], 200) == []


def test_lag_of_partitions_that_others_hold_is_no_longer_shown() -> None:
    dog, mine, lost = Watchdog(10), TopicPartition("lag.test", 0), TopicPartition("lag.test", 1)
    dog.show([PartitionLag(mine, 9, 5), PartitionLag(lost, 9, 2)], [PartitionLag(lost, 9, 2)])
    assert _lags() == {"0": 4.0, "1": 7.0}
    assert metrics.STALLED.labels("lag.test")._value.get() == 1
    dog.show([PartitionLag(mine, 9, 6)], [])
    assert _lags() == {"0": 3.0}
    dog.show([], [])
    assert _lags() == {}
    assert metrics.STALLED.labels("lag.test")._value.get() == 0


def _lags() -> dict[str, float]:
    samples = [sample for metric in metrics.LAG.collect() for sample in metric.samples]
    return {each.labels["partition"]: each.value for each in samples if each.labels["topic"] == "lag.test"}
