"""Jobs as processes of this machine, in folders that keep their log: they end with the process that started them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from retrain.job_files import JOBS, SPEC, JobSpec, command, write
from retrain.runners.interface import JobState

GRACE_S = 5.0
LOG = "log"


class LocalRunner:
    """Processes under `var`/jobs. Image, cores and memory of the description mean nothing here; its GPUs are this
    machine's."""

    def __init__(self, var: Path) -> None:
        self._var = var.resolve()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def elsewhere(self) -> bool:
        """See `Runner`."""
        return False

    def folder(self, job: str) -> Path:
        """Return the folder of a job."""
        return self._var / JOBS / job

    def start(self, spec: JobSpec) -> None:
        """See `Runner`."""
        job = spec.request.id
        if self.poll(job).running:
            return
        folder = self.folder(job)
        write(folder / SPEC, replace(spec, parent=os.getpid()))
        environment = {**os.environ, **secrets(spec.secrets, os.environ)}
        with (folder / LOG).open("ab") as output:
            self._processes[job] = subprocess.Popen(
                command(str(folder)),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
            )

    def poll(self, job: str) -> JobState:
        """See `Runner`."""
        process = self._processes.get(job)
        if process is None:
            return JobState(running=False, why="it was never started here")
        status = process.poll()
        if status is None:
            return JobState(running=True)
        why = f"the job ended with status {status}; see {self.folder(job) / LOG}" if status else ""
        return JobState(running=False, why=why)

    def stop(self, job: str) -> None:
        """See `Runner`."""
        process = self._processes.pop(job, None)
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def forget(self, job: str) -> None:
        """See `Runner`; its folder stays."""
        self.stop(job)


def secrets(references: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the values that the references name. Raise ValueError or OSError, without a value, where there is none.

    >>> secrets({"HF_TOKEN": "env:TEAM_TOKEN"}, {"TEAM_TOKEN": "secret"})
    {'HF_TOKEN': 'secret'}
    """
    found = {}
    for name, reference in references.items():
        kind, _, source = reference.partition(":")
        if kind not in ("env", "file"):
            raise ValueError(f"retrain.secrets.{name} is {reference!r}, expected env:NAME or file:/path here")
        if kind == "env" and source not in environment:
            raise ValueError(f"retrain.secrets.{name} is {reference!r}, expected a variable that is set")
        found[name] = environment[source] if kind == "env" else Path(source).read_text(encoding="utf-8").strip()
    return found
