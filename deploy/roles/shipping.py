"""The gateway's shipper: a child process that takes events from the journal to Kafka, so that the gateway need not."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import structlog

log = structlog.get_logger()

BACK_OFF_S = (0.2, 10.0)
STEADY_S = 30.0  # a shipper that lived so long was well
PATIENCE_S = 9.0  # for it to ship what is left


@contextlib.asynccontextmanager
async def shipping(name: str, config: Path | None) -> AsyncIterator[None]:
    """Keeps the shipper of the gateway `name` running; it ends, once the journal is shipped, after the block."""
    command = [sys.executable, "-m", "deploy.cli", "run", "shipper", "--name", name]
    keeping = asyncio.create_task(_keep([*command, *(["--config", str(config)] if config else [])]))
    try:
        yield
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


async def _keep(command: Sequence[str]) -> None:
    wait_s, loop = BACK_OFF_S[0], asyncio.get_running_loop()
    while True:
        began = loop.time()
        # it reads its standard input's end as the end of the gateway, however that came about
        child = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            await _end(child)
            raise
        wait_s = BACK_OFF_S[0] if loop.time() - began > STEADY_S else wait_s
        log.error("shipper ended; it is started again", code=code, wait_s=wait_s)
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, BACK_OFF_S[1])


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.stdin is not None:
        child.stdin.close()
    try:
        await asyncio.wait_for(child.wait(), PATIENCE_S)
    except TimeoutError:
        log.warning("events are left in the journal; the next start ships them")
        child.kill()
        await child.wait()
