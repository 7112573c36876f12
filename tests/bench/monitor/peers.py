"""River's detectors with their own settings on the very healthy streams that the detectors here were given."""

from __future__ import annotations

from functools import partial

from tests.bench.monitor import rivals
from tests.bench.monitor.dependence import RHYTHMS, SINE
from tests.bench.monitor.null import HORIZON, RUNS
from tests.bench.monitor.rivals import RIVALS
from tests.bench.monitor.runs import Watched, run_lengths
from tests.bench.monitor.worlds import BURSTS, DAY_MS, DEPENDENT, NULLS, Make
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note

ARL, REFERENCE = 10_000, 2_000
PEER_RUNS = {"ADWIN": 100, "Page-Hinkley": 100, "KSWIN": 10}  # KSWIN takes 0.3 ms an event


def measured(quick: bool) -> list[Figure]:
    figures: list[Figure] = []
    worlds: dict[str, Make] = {**NULLS, **DEPENDENT, **BURSTS, SINE: RHYTHMS[SINE]}
    for name, make in worlds.items():
        figures += beside(name, make, Watched(ARL, REFERENCE, span_ms=2 * DAY_MS if name == SINE else 0), quick)
        note(f"peers on {name}")
    return figures


def beside(name: str, make: Make, watched: Watched, quick: bool) -> list[Figure]:
    """Mean run lengths; repetitions of a burst are left out for all of them alike."""
    horizon, runs = int(HORIZON * ARL), RUNS // 20 if quick else RUNS // 2
    ours = run_lengths(make, watched, runs=runs, horizon=horizon)
    values = rivals.streams(make, watched, runs=max(PEER_RUNS.values()), of=runs, horizon=horizon)
    figures = []
    for peer, few in PEER_RUNS.items():
        rival, setting = RIVALS[peer]
        theirs = rivals.lengths(partial(rival, setting), values[:, : few // 10 if quick else few])
        what = f"{name}: mean run, beside {peer} as it comes"
        cut = f"{theirs.censored:.0%} of its {len(theirs.events)} runs cut off at {horizon}"
        figures.append(Figure(what, ours.mean, "events", ARL, "higher", peer, round(theirs.mean, 1), cut))
    return figures
