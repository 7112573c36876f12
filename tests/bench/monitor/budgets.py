"""One budget over forty dependent streams: healthy runs as long as asked, and what a shift in few or many costs."""

from __future__ import annotations

from tests.bench.monitor import null
from tests.bench.monitor.runs import Watched, run_lengths
from tests.bench.monitor.worlds import correlated
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note

STREAMS, ARL, REFERENCE, RUNS = 40, 1_000, 2_000, 500


def measured(quick: bool) -> list[Figure]:
    figures: list[Figure] = []
    watched = Watched(ARL, REFERENCE, STREAMS)
    for rho in (0.5, 0.9):
        runs = RUNS // 20 if quick else RUNS
        healthy = run_lengths(correlated(STREAMS, rho), watched, runs=runs, horizon=int(null.HORIZON * ARL), seed=1)
        figures += null.figures_of(f"budget over {STREAMS} streams, correlation {rho:g}", watched, healthy)
        note(f"budget, correlation {rho:g}")
    return figures
