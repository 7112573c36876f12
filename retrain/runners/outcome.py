"""How a job ended: the outcome that it has left, or why there is none."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from retrain.handover import Handover
from retrain.job_files import OUTCOME, JobOutcome, concluded
from retrain.runners.interface import JobState

PATIENCE_S = 600.0  # for a store that is away, where the outcome is nowhere else


def outcome(handover: Handover, ended: JobState, wait: Callable[[], None] | None = None) -> JobOutcome:
    """Return the outcome, from the store where another machine left it. `wait`: between two looks there, of a job that
    ended well elsewhere; without it there is one look."""
    began = time.monotonic()
    while True:
        handover.take((OUTCOME,))
        found = concluded(handover.folder / OUTCOME)
        if found is not None:
            return found
        if wait is None or ended.why or time.monotonic() - began > PATIENCE_S:
            return JobOutcome(problem=_missing(ended, handover.folder))
        wait()


def _missing(ended: JobState, folder: Path) -> str:
    unread = f"{folder / OUTCOME} cannot be read, and " if (folder / OUTCOME).exists() else ""
    return f"{unread}{ended.why or f'the job ended well without one; see its log in {folder}'}"
