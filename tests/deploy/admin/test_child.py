"""A command's process ends with whoever wanted it, whatever it does."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from deploy.admin import child
from deploy.admin.wire import OutputPiece

ENDLESS = "import signal;signal.signal(signal.SIGTERM,signal.SIG_IGN)\nwhile True: print('x'*9_999)"


async def test_a_command_that_writes_without_end_ends_with_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pipe is full, and asyncio's own `wait` would wait for that, too."""
    monkeypatch.setattr(child, "GRACE_S", 0.2)
    async with aclosing(child.pieces([sys.executable, "-c", ENDLESS], dict(os.environ), 600.0)) as pieces:
        async for piece in pieces:
            assert piece.out
            await asyncio.sleep(0.5)  # until the pipe is full
            break


MUTE = "import os,sys,time\nos.close(1);os.close(2)\nwhile not os.path.exists(sys.argv[1]): time.sleep(.1)\nos._exit(7)"


async def test_a_command_that_has_closed_its_output_is_seen_to_work_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller takes what is silent for broken."""
    monkeypatch.setattr(child, "ALIVE_S", 0.05)
    end, seen = tmp_path / "end", list[OutputPiece]()
    async with aclosing(child.pieces([sys.executable, "-c", MUTE, str(end)], dict(os.environ), 600.0)) as pieces:
        async for piece in pieces:
            seen.append(piece)
            if len(seen) == 40:  # its output is closed long before
                end.touch()
    assert seen[:40] == [OutputPiece()] * 40
    assert seen[-1] == OutputPiece(exit=7)
