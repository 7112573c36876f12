"""The form of a runner: a job is described once, and started, looked at and stopped by its id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from retrain.job_files import JobSpec


@dataclass(frozen=True, slots=True)
class JobState:
    """Whether a job runs, and why it ended without being asked to; a job that ended well has left its outcome."""

    running: bool
    why: str = ""


class Runner(Protocol):
    """Starts jobs. A job goes on from what an earlier start of the same id has left, here or on another machine."""

    @property
    def elsewhere(self) -> bool:
        """Whether jobs run on other machines: they outlive their trainer, and leave their outcome in the store."""

    def start(self, spec: JobSpec) -> None:
        """Start the job, unless it runs. Raise OSError, RuntimeError or ValueError where that cannot be."""

    def poll(self, job: str) -> JobState:
        """Return how the job is; one that was never started has ended."""

    def stop(self, job: str) -> None:
        """End the job, as a kill would, and return once it has ended; one that has ended already stays so."""

    def forget(self, job: str) -> None:
        """Leave nothing of a job that has not ended by itself: its request has a result."""
