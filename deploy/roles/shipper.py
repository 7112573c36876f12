"""The shipper: a child process of a gateway that takes events from the journal to Kafka, so that the gateway need not.

`shipper` is the process, `shipping` what the gateway does to keep it running."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import structlog

from deploy.config.settings import Config
from deploy.roles.process import SIGNALS
from streams.identity import process_name

log = structlog.get_logger()

NICE = 4  # replies first; on a core of their own both get what they need: 29 % for a shipper, it takes 27 %
LEFT_S = 8.0  # for a shipper to ship what is left; with the gateway's own end less than 25 s
BACK_OFF_S = (0.2, 10.0)
STEADY_S = 30.0  # a shipper that ran so long was well
PATIENCE_S = 9.0  # of the gateway, while its shipper ships what is left


def shipper(config: Config, name: str) -> None:
    """Send a gateway's events to Kafka until standard input ends and nothing is left, or for LEFT_S more."""
    from streams.journal.shipper import Shipper, ShipperSettings

    os.nice(NICE)
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)  # a group's signal is meant for the gateway, which closes the pipe
    settings = ShipperSettings(linger_s=config.gateway.ship_every_s)
    shipper = Shipper(config.kafka, journal_folder(config, name), process_name("gateway", name), settings)
    stop = threading.Event()

    def end_with_input() -> None:
        sys.stdin.buffer.read()
        shipper.hurry()
        deadline = time.monotonic() + LEFT_S
        while not shipper.drained() and time.monotonic() < deadline:
            time.sleep(0.05)
        stop.set()

    threading.Thread(target=end_with_input, daemon=True).start()
    shipper.run(stop)


def journal_folder(config: Config, name: str) -> Path:
    """Return the folder where a gateway's events wait for Kafka."""
    return config.stack.var / "spool" / name


@contextlib.asynccontextmanager
async def shipping(name: str, config: Path | None) -> AsyncIterator[None]:
    """Keep the shipper of the gateway `name` running; it ends, once the journal is shipped, after the block."""
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
        # the end of its standard input is the end of the gateway, however that came about
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
