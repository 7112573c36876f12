"""Healthy streams: how many events pass before a false alarm, and how often one comes far too early."""

from __future__ import annotations

from tests.bench.monitor.runs import Lengths, Watched, run_lengths
from tests.bench.monitor.worlds import GAUSSIAN, NULLS, Make
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note

REFERENCES = (500, 2_000, 10_000)
ARLS = (1_000, 10_000)
RUNS = 400
EARLY = 0.1  # share of runs that may be shorter than a tenth of what was asked
HORIZON = 4.0  # run lengths asked
MANY = ((4, 500, 10_000), (15, 500, 1_000), (15, 2_000, 10_000), (64, 500, 1_000))  # columns, reference, run length


def measured(quick: bool) -> list[Figure]:
    figures: list[Figure] = []
    for name, make in NULLS.items():
        figures += table(name, make, quick)
    for columns, reference, arl in MANY:
        watched = Watched(arl, reference, columns)
        healthy = run_lengths(GAUSSIAN, watched, runs=10 if quick else 100, horizon=int(HORIZON * arl), seed=columns)
        figures += figures_of(f"{columns} descriptors, Gaussian", watched, healthy)
    return figures


def table(name: str, make: Make, quick: bool, span_ms: int = 0, runs: int = RUNS) -> list[Figure]:
    """Of one world, over all references and run lengths."""
    figures: list[Figure] = []
    for reference in REFERENCES:
        for arl in ARLS:
            watched = Watched(arl, reference, span_ms=span_ms)
            many = runs // 10 if quick else runs
            figures += figures_of(name, watched, run_lengths(make, watched, runs=many, horizon=int(HORIZON * arl)))
        note(f"{name}, reference of {reference:,}")
    return figures


def figures_of(name: str, watched: Watched, healthy: Lengths, *, goals: bool = True) -> list[Figure]:
    """Mean run length, and the share of runs below a tenth of what was asked."""
    what = f"{name}, reference {watched.reference}, asked {watched.arl:g}"
    cut = f"{healthy.censored:.1%} of {len(healthy.events)} runs cut off at {HORIZON:g} x, the mean is at least this"
    mean = Figure(f"{what}: mean run", healthy.mean, "events", watched.arl if goals else None, "higher", note=cut)
    early = healthy.before(watched.arl / 10)
    return [mean, Figure(f"{what}: early", early, "share", EARLY if goals else None, "lower")]
