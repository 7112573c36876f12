"""Waiting for what must happen, however slow the machine is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE_S = 20.0


async def until(holds: Callable[[], object]) -> None:
    """Returns once it holds. Raises TimeoutError where it does not in time."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
