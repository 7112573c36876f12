"""The memory that a demo's processes had together, at most."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from deploy.demo import memory
from deploy.demo.memory import PeakMemory

MIB = 1024**2
NO_PROCESS = 2**22


@pytest.mark.slow
def test_the_peak_counts_the_roots_in_addition_to_this_process_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SAMPLE_S", 0.02)
    work = "held = bytearray(256 * 2**20); print(1, flush=True); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert other.stdout is not None
    other.stdout.readline()
    peak = PeakMemory(lambda: [other.pid, NO_PROCESS])
    peak.start()
    deadline = time.monotonic() + 20
    while not peak.bytes and time.monotonic() < deadline:
        time.sleep(0.02)
    least = memory._proportional(psutil.Process()) + 200 * MIB  # children are counted, too
    other.communicate(b"\n")
    reached = peak.bytes
    assert reached >= least
    peak.stop()
    assert peak.bytes >= reached
