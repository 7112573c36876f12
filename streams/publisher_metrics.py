"""What a publisher tells Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from streams.journal_metrics import DROPPED as DROPPED
from streams.journal_metrics import PUBLISHED as PUBLISHED
from streams.journal_metrics import SPOOL_BYTES as SPOOL_BYTES

SPOOLED = Counter("homeostat_publisher_spooled_total", "Events written to the spool.", ["topic"])
QUEUED = Gauge("homeostat_publisher_queue_events", "Events waiting in memory.")
