"""The largest memory that a set of processes had together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

SAMPLE_S = 5.0  # seldom: while it is measured, a process cannot take memory


class PeakMemory:
    """A thread that samples this process, the processes `roots`, and all of their children, until `stop`."""

    def __init__(self, roots: Callable[[], Sequence[int]]) -> None:
        self.bytes = 0
        self._roots = roots
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin to sample."""
        threading.Thread(target=self._sample, name="memory", daemon=True).start()

    def stop(self) -> None:
        """End sampling; the peak stays."""
        self._stop.set()

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            trees = [_tree(pid) for pid in (os.getpid(), *self._roots())]
            total = sum(map(_proportional, set[psutil.Process]().union(*trees)))
            self.bytes = max(self.bytes, total)


def _tree(pid: int) -> set[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return {process, *process.children(recursive=True)}
    except psutil.Error:
        return set()


def _proportional(process: psutil.Process) -> int:
    """Return resident memory, shared pages counted once over their sharers where the system knows (Linux)."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        pass
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
