"""The lake's metrics, of the process that cares for it."""

from __future__ import annotations

from prometheus_client import Gauge

BYTES = Gauge("homeostat_lake_bytes", "Size of the files that a table of the lake consists of.", ["table"])
FILES = Gauge("homeostat_lake_files", "Files that a table of the lake consists of.", ["table"])
CARED = Gauge(
    "homeostat_storage_cared_seconds",
    "When a part of the storage's care last went well: Unix time; when the process began, until it first did.",
    ["part"],
)
