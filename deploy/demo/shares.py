"""How a demo shares out its rows: to train the champion, to learn from, to measure on."""

from __future__ import annotations

from dataclasses import dataclass

MIN_BEFORE = 200
MIN_AFTER = 300
MEASURED = 100  # rows that each accuracy needs at least


@dataclass(frozen=True, slots=True)
class RowShares:
    """Numbers of rows; all derived from the data's size, none from its content."""

    champion: int  # `before` rows that train the first champion
    healthy: int  # `before` rows served afterwards
    reference_events: int  # of those, the ones that the monitor's reference is frozen from
    min_fresh_labels: int  # labels after the onset before a retraining is worth its cost
    canary_requests: int  # replies the canary must give before it may be promoted
    reserve: int  # `after` rows kept back until there is a verdict: for the canary, and to measure the new version


def share_rows(before: int, after: int, feedback_share: float) -> RowShares:
    """Divide the data. Raise ValueError where it is too little to show anything.

    >>> share_rows(1320, 1023, 0.5)
    RowShares(champion=660, healthy=660, reference_events=330, min_fresh_labels=204, \
canary_requests=40, reserve=306)
    """
    for name, have, need in (("before", before, MIN_BEFORE), ("after", after, MIN_AFTER)):
        if have < need:
            raise ValueError(f"{name}.jsonl: {have} rows, expected at least {need} to learn from and to measure on")
    healthy = before - before // 2
    canary = max(15, min(100, after // 25))
    return RowShares(
        champion=before // 2,
        healthy=healthy,
        reference_events=max(50, min(2000, healthy // 2)),
        min_fresh_labels=max(30, min(400, int(0.4 * after * feedback_share))),
        canary_requests=canary,
        reserve=max(MEASURED + 5 * canary, int(0.3 * after)),
    )
