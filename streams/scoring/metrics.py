"""Metrics of scoring."""

from __future__ import annotations

from prometheus_client import Counter

SCORED = Counter("homeostat_answers_scored_total", "Answers that got a score.", ["alias"])
UNJUDGED = Counter(
    "homeostat_answers_unjudged_total", "Answers without a score: never taken for wrong ones.", ["alias", "reason"]
)
