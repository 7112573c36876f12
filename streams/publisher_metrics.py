"""What a publisher tells Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

PUBLISHED = Counter("homeostat_publisher_published_total", "Events confirmed by the broker.", ["topic"])
SPOOLED = Counter("homeostat_publisher_spooled_total", "Events written to the spool.", ["topic"])
DROPPED = Counter("homeostat_publisher_dropped_total", "Events lost.", ["topic", "reason"])
QUEUED = Gauge("homeostat_publisher_queue_events", "Events waiting in memory.")
SPOOL_BYTES = Gauge("homeostat_publisher_spool_bytes", "Bytes waiting in the spool.")
