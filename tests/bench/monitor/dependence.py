"""The same promise where events depend on each other: autocorrelation, bursts of one client, the rhythm of the day,
times in which they vary more."""

from __future__ import annotations

from tests.bench.monitor import null
from tests.bench.monitor.runs import Watched, run_lengths
from tests.bench.monitor.worlds import BURSTS, DAY_MS, DEPENDENT, SPREADS, Wave, daily
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note

A_DAY = 500  # events
SINE = "daily rhythm of 0.7 sigma"
OFFICE = "nine to five, 1 sigma higher"
RHYTHMS = {SINE: daily(Wave(0.7), A_DAY), OFFICE: daily(Wave(1.0, office=True), A_DAY)}


def measured(quick: bool) -> list[Figure]:
    figures: list[Figure] = []
    for name, make in (DEPENDENT | BURSTS).items():
        figures += null.table(name, make, quick)
    figures += null.table(SINE, RHYTHMS[SINE], quick, 2 * DAY_MS, null.RUNS // 2)
    return [*figures, *edges(quick), *spreads(quick)]


def spreads(quick: bool) -> list[Figure]:
    """Worlds whose spread depends, and clients with levels of their own: against the usual reference."""
    figures: list[Figure] = []
    watched = Watched(10_000, 2_000)
    for name, make in SPREADS.items():
        healthy = run_lengths(make, watched, runs=24 if quick else 200, horizon=int(null.HORIZON * watched.arl))
        figures += null.figures_of(name, watched, healthy, goals="levels" not in name)
        note(name)
    return figures


def edges(quick: bool) -> list[Figure]:
    """A rhythm with sharp edges is followed only as closely as the reference shows it: told, not asked."""
    watched = Watched(10_000, 2_000, span_ms=2 * DAY_MS)
    healthy = run_lengths(RHYTHMS[OFFICE], watched, runs=10 if quick else 100, horizon=40_000)
    return null.figures_of(OFFICE, watched, healthy, goals=False)
