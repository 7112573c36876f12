"""A worker process that kills itself, the first times, once it has joined labels with their replies and scored them:
before any judgement is sent."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from streams.ingest.judgement import AnsweredRow, Score, Scorer, by_name
from tests.streams.support.worker import plan, work

DEATHS = 2


def dying(scorer: Scorer, deaths: Path) -> Scorer:
    """The scorer; each death leaves a byte in the file."""

    async def scores(rows: Sequence[AnsweredRow]) -> Sequence[Score]:
        found = await scorer(rows)
        _die(deaths)
        return found

    return scores


def _die(deaths: Path) -> None:
    if not deaths.exists() or deaths.stat().st_size < DEATHS:
        with deaths.open("ab") as file:
            file.write(b"x")
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    chosen = plan()
    asyncio.run(work(chosen, dying(by_name(chosen.metrics), chosen.storage.var / "deaths")))
