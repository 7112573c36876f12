"""Waiting for what must happen. The limit is for a machine that is slow and busy: nothing that happens takes longer
for it, and a test that measures how soon something happens says so itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 90.0


def wait(holds: Callable[[], object], what: str = "", most_s: float = PATIENCE_S) -> None:
    """Return once it holds; raise AssertionError, with the words, where it does not in time. What takes long is looked
    at less and less often: to look may cost something."""
    began, pause = time.monotonic(), 0.01
    while not holds():
        assert time.monotonic() < began + most_s, f"waited {most_s:g} s in vain for {what or holds}"
        time.sleep(pause)
        pause = min(1.2 * pause, 0.5)


async def until(holds: Callable[[], object], what: str = "", most_s: float = PATIENCE_S) -> None:
    """Return once it holds, likewise."""
    deadline = time.monotonic() + most_s
    while not holds():
        assert time.monotonic() < deadline, f"waited {most_s:g} s in vain for {what or holds}"
        await asyncio.sleep(0.005)
