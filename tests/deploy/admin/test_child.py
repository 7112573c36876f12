"""A command's process ends with whoever wanted it, whatever it does."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import aclosing

import pytest

from deploy.admin import child

ENDLESS = "import signal;signal.signal(signal.SIGTERM,signal.SIG_IGN)\nwhile True: print('x'*9_999)"


async def test_a_command_that_writes_without_end_ends_with_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pipe is full, and asyncio's own `wait` would wait for that, too."""
    monkeypatch.setattr(child, "GRACE_S", 0.2)
    async with aclosing(child.pieces([sys.executable, "-c", ENDLESS], dict(os.environ), 600.0)) as pieces:
        async for piece in pieces:
            assert piece.out
            await asyncio.sleep(0.5)  # until the pipe is full
            break
