"""Labels after the replies they are about: after a backlog, feedback (small) would else run far ahead of its events.

Both topics have the same key and as many partitions, so a label's reply is in the partition of the same number, and
one worker holds both. This only keeps few rows waiting: `streams.judge.ordering` gives the order in which they are
judged."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from streams.log.read import Raw

PATIENCE_S = 10.0  # that a batch of labels waits at most


def ahead(labels: Iterable[Raw], handled_ms: Mapping[int, int], behind: Collection[int]) -> bool:
    """Return whether some label is younger than the newest reply handled in its partition, while replies wait there.

    `handled_ms`: the log's time of that reply; `behind`: partitions in which replies wait.

    >>> label = Raw(3, 0, 2_000, None, None)
    >>> [ahead([label], {3: 1_000}, {3}), ahead([label], {3: 1_000}, {}), ahead([label], {3: 2_500}, {3})]
    [True, False, False]
    """
    return any(each.partition in behind and each.timestamp_ms > handled_ms.get(each.partition, 0) for each in labels)
