"""The metrics of logs and traces."""

from __future__ import annotations

from prometheus_client import Counter

SPANS = Counter(
    "homeostat_spans_total",
    "Spans by what became of them: sent, dropped (too many waited), failed (the collector did not take them).",
    ["outcome"],
)
LOG_LINES_LOST = Counter(
    "homeostat_log_lines_lost_total",
    "Lines of the log that the standard error did not take: its disk is full, or its reader stands still.",
)
