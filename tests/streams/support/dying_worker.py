"""A worker process that kills itself, the first times, once it has joined labels with their replies and scored them:
before any judgement is sent."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from streams.ingest.judgement import Judge, Judged, LabelledReply, by_metric
from streams.scoring.scorer import Scorers
from streams.scoring.settings import ScoringSettings
from tests.streams.support.worker import plan, work

DEATHS = 2


def dying(judge: Judge, deaths: Path) -> Judge:
    """The judge; each death leaves a byte in the file."""

    async def judges(rows: Sequence[LabelledReply]) -> Sequence[Judged]:
        found = await judge(rows)
        _die(deaths)
        return found

    return judges


def _die(deaths: Path) -> None:
    if not deaths.exists() or deaths.stat().st_size < DEATHS:
        with deaths.open("ab") as file:
            file.write(b"x")
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    chosen = plan()
    asyncio.run(
        work(
            chosen,
            dying(
                by_metric(Scorers(ScoringSettings(metrics=chosen.metrics), chosen.storage.var)),
                chosen.storage.var / "deaths",
            ),
        )
    )
