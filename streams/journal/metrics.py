"""The metrics of a journal and its shipper, served by the process that writes the journal: the shipper has no port of
its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client import Counter, Gauge

from streams.journal import cursor, status
from streams.journal.reader import waiting_bytes
from streams.log.availability import CONNECTED

PUBLISHED = Counter("homeostat_publisher_published_total", "Events confirmed by the broker.", ["topic"])
DROPPED = Counter(
    "homeostat_publisher_dropped_total",
    "Events that are not in the log; those refused are kept aside.",
    ["topic", "reason"],
)
DAMAGED = Counter("homeostat_publisher_damaged_bytes_total", "Bytes of the journal that could not be read.")
SILENT_S = 10.0  # a shipper writes its status each second
SPOOL_BYTES = Gauge("homeostat_publisher_spool_bytes", "Bytes in the journal that are not confirmed yet.")


class ShipperMetrics:
    """The shipper's counts of all time, carried over to this process's counters, which never go backwards."""

    def __init__(self, folder: Path, answers: Callable[[], bool] = lambda: True) -> None:
        """`answers`: whether Kafka does; a shipper with nothing to ship does not know."""
        self._folder, self._answers = folder, answers
        self._seen = cursor.Cursor()

    def show(self) -> None:
        """Bring the metrics up to date; to be called before they are read. Never raises for a missing file."""
        CONNECTED.labels("shipper").set(self._answers() and well(status.read(self._folder), time.time()))
        now, seen = cursor.read(self._folder), self._seen
        SPOOL_BYTES.set(waiting_bytes(self._folder))
        if now == cursor.Cursor():  # nothing shipped yet, or unreadable for a moment
            return
        for topic, count in now.published.items():
            PUBLISHED.labels(topic).inc(max(count - seen.published.get(topic, 0), 0))
        for topic, reasons in now.dropped.items():
            for reason, count in reasons.items():
                DROPPED.labels(topic, reason).inc(max(count - seen.dropped.get(topic, {}).get(reason, 0), 0))
        DAMAGED.inc(max(now.damaged_bytes - seen.damaged_bytes, 0))
        self._seen = now


def well(found: status.ShipperStatus | None, now_s: float) -> bool:
    """Return whether a shipper is at work and has no trouble with the broker."""
    return found is not None and not found.error and now_s - found.time_ms / 1_000 < SILENT_S
