"""The metrics of traces."""

from __future__ import annotations

from prometheus_client import Counter

SPANS = Counter(
    "homeostat_spans_total",
    "Spans by what became of them: sent, dropped (too many waited), failed (the collector did not take them).",
    ["outcome"],
)
