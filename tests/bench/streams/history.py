"""A long history: what it leaves in the worker's memory, and how soon a restarted worker goes on after it."""

from __future__ import annotations

import os
import signal
import statistics
import time

from tests.bench.streams.place import Place, Worker, consumed, until, until_drained
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note

EVENTS, QUICK = 1_000_000, 100_000
WARM = 0.2  # of the events: caches, references and the allocator's own pools are filled then
GROWTH_MIB = 64
RESTARTS, RESUME_S = 3, 10


def memory(place: Place, quick: bool) -> list[Figure]:
    """Resident memory while a worker takes a million events as fast as it can."""
    events = QUICK if quick else EVENTS
    place.pour(events)
    sizes: list[tuple[float, float]] = []
    with place.worker("memory") as (worker,):
        worker.start()

        def enough() -> bool:
            sizes.append((consumed([worker]), worker.mib()))
            return sizes[-1][0] >= events

        until(enough, 3_600)
        until_drained([worker])
    return [_grown(events, sizes)]


def _grown(events: int, sizes: list[tuple[float, float]]) -> Figure:
    """The highest of the last part over the highest until it was warm: batches come and go in between."""
    warm = max(mib for done, mib in sizes if done <= WARM * events * 2)
    late = max(mib for done, mib in sizes if done > (1 - WARM) * events)
    name = f"more memory after {events:,} events"
    return Figure(name, late - warm, "MiB", GROWTH_MIB, note=f"{warm:.0f} MiB at most by then, {late:.0f} at the end")


def restart(place: Place, quick: bool) -> list[Figure]:
    """From the start of a process to the first reply that it has handled, scores confirmed."""
    if (lacking := (QUICK if quick else EVENTS) - place.poured) > 0:
        place.pour(lacking)
    with place.worker("restart") as (worker,):
        worker.start()
        place.pour(100)  # the workers before may have left nothing
        until(lambda: consumed([worker]) > 0)
        until_drained([worker])
        stopped = [_resumed(place, worker, signal.SIGTERM) for _ in range(RESTARTS)]
        killed = [_resumed(place, worker, signal.SIGKILL) for _ in range(RESTARTS)]
    history = f"after {place.poured:,} events"
    return [
        _median(f"restart {history}, to the next reply handled", stopped),
        _median(f"kill -9 {history}, to the next reply handled", killed),
    ]


def _median(name: str, runs: list[tuple[float, float]]) -> Figure:
    seconds, cpu_s = (statistics.median(values) for values in zip(*runs, strict=True))
    return Figure(name, seconds, "s", RESUME_S, note=f"{cpu_s:.1f} s of CPU, load {os.getloadavg()[0]:.1f}")


def _resumed(place: Place, worker: Worker, how: signal.Signals) -> tuple[float, float]:
    """Seconds, and how much CPU the new process used in them."""
    worker.process.kill(how)
    place.pour(100)
    began = time.monotonic()
    worker.start()
    seconds = until(lambda: consumed([worker]) > 0) - began
    used_s = worker.cpu_s()
    until_drained([worker])
    note(f"{how.name}: {seconds:.1f} s, {used_s:.1f} s of CPU, load {os.getloadavg()[0]:.1f}")
    return seconds, used_s
