"""A training in processes of its own: one, or by torchrun one a GPU. They end with the process that started them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from retrain.training.backends.contract import STEPS, OnStep, TrainingResult, read_order, read_result, steps_since

POLL_S = 0.5
GRACE_S = 10.0  # after SIGTERM


class TrainingFailed(RuntimeError):
    """There is no adapter; `problem` says why."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)


def run_training(folder: Path, processes: int, report: OnStep) -> TrainingResult:
    """Train what is ordered in the folder and report each step; return the result. Raise TrainingFailed."""
    digest = read_order(folder)[1]
    at = (folder / STEPS).stat().st_size if (folder / STEPS).exists() else 0
    process = subprocess.Popen(training_command(folder, processes), stdin=subprocess.PIPE)  # which ends with this one
    try:
        while True:
            ended = process.poll() is not None
            found, at = steps_since(folder, at)
            for each in found:
                report(each.step, each.steps, each.loss)
            if ended:
                break
            _wait(process, POLL_S)
    finally:
        _stop(process)
    result = read_result(folder, digest)
    if result is None:
        raise TrainingFailed(f"the training ended with status {process.returncode} and left no result")
    if result.problem:
        raise TrainingFailed(result.problem)
    return result


def training_command(folder: Path, processes: int = 1) -> list[str]:
    """Return the command that trains what is ordered in the folder.

    >>> training_command(Path("/jobs/training"), 2)[1:5]
    ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2']
    """
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"] if processes > 1 else []
    return [sys.executable, "-m", *launcher, "retrain.training", "--with-parent", str(folder)]


def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Return whether the process has ended by then."""
    try:
        process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        if not _wait(process, GRACE_S):
            process.kill()
            process.wait()
    if process.stdin is not None:
        process.stdin.close()  # ends the workers of a launcher that was killed
