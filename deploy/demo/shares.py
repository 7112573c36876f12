"""How a demo shares out the rows it has: what trains the champion, what may be learned from, what is measured."""

from __future__ import annotations

from dataclasses import dataclass

MIN_BEFORE = 200
MIN_AFTER = 300
MEASURED = 100  # rows that each accuracy needs at least


@dataclass(frozen=True, slots=True)
class Plan:
    """Numbers of rows; all derived from the data's size, none from its content."""

    champion: int  # `before` rows that train the first champion
    healthy: int  # `before` rows served afterwards
    reference_events: int  # of those, what the monitor's reference is frozen from
    min_fresh_labels: int  # labels after the onset before a retraining is worth its cost
    canary_requests: int  # replies the canary must give before it may be promoted
    reserve: int  # `after` rows kept back until there is a verdict: for the canary, and to measure what it becomes


def plan(before: int, after: int, feedback_share: float) -> Plan:
    """Shares of the data. Raises ValueError when there is too little to show anything.

    >>> plan(1320, 1023, 0.5)
    Plan(champion=660, healthy=660, reference_events=330, min_fresh_labels=204, \
canary_requests=40, reserve=306)
    """
    for name, have, need in (("before", before, MIN_BEFORE), ("after", after, MIN_AFTER)):
        if have < need:
            raise ValueError(f"{name}.jsonl: {have} rows, expected at least {need} to learn from and to measure on")
    healthy = before - before // 2
    canary = max(15, min(100, after // 25))
    return Plan(
        champion=before // 2,
        healthy=healthy,
        reference_events=max(50, min(2000, healthy // 2)),
        min_fresh_labels=max(30, min(400, int(0.4 * after * feedback_share))),
        canary_requests=canary,
        reserve=max(MEASURED + 3 * canary, int(0.3 * after)),
    )
