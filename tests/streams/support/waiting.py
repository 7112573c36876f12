"""Waiting for another thread, however slow the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Return once it holds; raise AssertionError where it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain"
        time.sleep(0.005)
