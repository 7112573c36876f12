"""One retraining's job: `python -m retrain.job STEP FOLDER`, where STEP is prepare, train, evaluate, judge, or all.

Its input is FOLDER/job.json, which HOMEOSTAT_JOB in its environment replaces; its result FOLDER/outcome.json, in the
store too. Each step goes on where an earlier start of it was killed, and does nothing where it was done: with the same
rows, from the training's last checkpoint, in the same MLflow run. A step that cannot be done makes the outcome a
problem; steps after it have nothing to do."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from retrain.handover import Handover
from retrain.job_files import GIVEN, OUTCOME, SPEC, STEPS, JobOutcome, JobSpec, concluded, read, write
from retrain.job_steps import Job, evaluate, prepare, train, verdict
from retrain.training import tracking
from streams.files import locked, put
from streams.telemetry.logs import set_up_logs

log = structlog.get_logger()

LOOK_S = 1.0
DO = {"prepare": prepare, "train": train, "evaluate": evaluate}
USAGE = f"usage: python -m retrain.job {'|'.join(STEPS)}|all FOLDER"


def main(arguments: list[str]) -> int:
    """Do the step, or all that are left; return 0 where that is done or there is an outcome, a failed retraining's
    included, 2 where nothing says what to do."""
    if len(arguments) != 2 or arguments[0] not in (*STEPS, "all"):
        print(USAGE, file=sys.stderr)
        return 2
    name, folder = arguments[0], Path(arguments[1])
    if GIVEN in os.environ:
        put(folder / SPEC, os.environ.pop(GIVEN).encode())
    spec = read(folder / SPEC, JobSpec)
    if spec is None:
        print(f"{folder / SPEC}: missing or unreadable; the trainer writes it", file=sys.stderr)
        return 2
    set_up_logs(spec.logs, "job", spec.request.id)
    tracking.use(spec.tracking)
    if spec.parent:
        threading.Thread(target=_die_with, args=(spec.parent,), daemon=True).start()
    with locked(folder / "lock"):  # one that outlived its trainer ends within a second
        handover = Handover.of(spec, folder)
        handover.take()
        if concluded(folder / OUTCOME) is None:
            outcome = worked(Job(spec, folder, handover), STEPS if name == "all" else (name,))
            if outcome is not None:
                write(folder / OUTCOME, outcome)
        handover.end(concluded=concluded(folder / OUTCOME) is not None)
    return 0


def worked(job: Job, names: Sequence[str] = STEPS) -> JobOutcome | None:
    """Do these steps; return the outcome, the problem where there is one, None where steps are left."""
    try:
        return steps(job, names)
    except Exception as error:  # the job's top: the outcome names the error
        log.exception("retraining failed", request=job.spec.request.id)
        return JobOutcome(problem=getattr(error, "problem", f"{type(error).__name__}: {error}"))


def steps(job: Job, names: Sequence[str] = STEPS) -> JobOutcome | None:
    """Do these steps of a job, in their order; return the outcome where `judge` is among them. Raise whatever keeps one
    from its end."""
    for name in names:
        if name == "judge":
            return verdict(job)
        DO[name](job)
        job.handover.give(time.monotonic())
    return None


def _die_with(parent: int) -> None:
    """End this process with its trainer's: else the job would go on while another trainer runs the same request."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
