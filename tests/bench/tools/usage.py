"""What a process and all that it has started take of the machine."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import psutil

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Usage:
    """Of the process itself, and of its children's whole tree."""

    cpu_s: float
    own_mib: float
    others_mib: float

    @property
    def mib(self) -> float:
        return self.own_mib + self.others_mib


def usage(process: psutil.Process) -> Usage:
    """As of now; children that have ended are not in it."""
    family = [_of(each) for each in process.children(recursive=True)]
    cpu_s, own = _of(process)
    return Usage(cpu_s + sum(cpu for cpu, _ in family), own, sum(mib for _, mib in family))


def _of(process: psutil.Process) -> tuple[float, float]:
    with suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system), process.memory_info().rss / MIB
    return 0.0, 0.0
