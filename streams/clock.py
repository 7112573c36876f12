"""The wall clock, for events' times. What must be replayed takes its time as an argument instead."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
