"""The bench measures what ships: its loop over many runs fires where the shipped detector does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from monitor.detectors.blocks import Block, fill
from monitor.reference.frozen import block_scores, event_scores
from monitor.signals.drift_detector import located
from tests.bench.monitor.runs import Feed, RunChange, Watched, changed, references, run_lengths
from tests.bench.monitor.worlds import DAY_MS, GAUSSIAN, SPREADS, Make, Wave, autocorrelated, bursts, daily, garch
from tests.bench.tools.figures import Figure
from tests.bench.tools.parts import keep

RUNS, HORIZON, CHANGE = 3, 4_000, RunChange(700, 0.6)


def shipped(make: Make, watched: Watched, run: int) -> int | None:
    """Events until the shipped detector fires in one of the runs, fed in other cuts."""
    feed = Feed(make(np.random.default_rng(0), RUNS * watched.columns))
    ready = references(feed, watched)[run]
    columns = slice(run * watched.columns, (run + 1) * watched.columns)
    detector = located(ready, "abcd"[: watched.columns], watched.arl)
    state, block, seen = detector.start(), Block(), 0
    while seen < HORIZON:
        stretch, prints = feed.take()
        values = changed(stretch, CHANGE, seen, watched.columns).values[:, columns]
        scores = event_scores(ready, values, prints, stretch.times_ms)
        moments = [(str(one), one) for one in prints]
        block, means, firsts, ends = fill(block, ready.block, scores, moments)
        steps = block_scores(ready, means, [prints[end] for end in ends])
        state, found = detector.update(state, steps, firsts)
        if found is not None:
            return seen + ends[found.step] + 1
        seen += len(values)
    return None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "watched"),
    [
        (GAUSSIAN, Watched(2_000, 500, 3)),
        (autocorrelated(0.5), Watched(2_000, 600)),
        (bursts(3), Watched(2_000, 300)),
        (daily(Wave(0.8), 400), Watched(2_000, 900, span_ms=2 * DAY_MS)),
        (garch(0.2, 0.75), Watched(2_000, 600, 2)),
    ],
    ids=["independent", "autocorrelated", "bursts", "daily", "spread"],
)
def test_it_fires_where_the_shipped_detector_does(make: Make, watched: Watched) -> None:
    many = run_lengths(make, watched, runs=RUNS, horizon=HORIZON, change=CHANGE)
    assert many.fired.all()
    assert many.events.tolist() == [shipped(make, watched, run) for run in range(RUNS)]


@pytest.mark.slow
@pytest.mark.parametrize("name", SPREADS)
def test_dependence_in_spread_and_over_hundreds_of_events_keeps_the_run_length(name: str) -> None:
    """Of 24 runs with 10,000 events between false alarms, 5 stop within 2,500; taken for independent, all of them."""
    healthy = run_lengths(SPREADS[name], Watched(10_000, 2_000), runs=24, horizon=2_500)
    assert healthy.fired.sum() <= 13


def test_runs_that_were_cut_off_count_as_long_as_they_were_watched() -> None:
    short = run_lengths(GAUSSIAN, Watched(10_000, 200), runs=20, horizon=500)
    assert short.censored > 0.5
    assert short.events[~short.fired].tolist() == [500] * int((~short.fired).sum())


@pytest.mark.slow
def test_kswin_for_many_runs_decides_as_rivers() -> None:
    """Of the same streams; which older events are drawn is chance, so that run lengths agree only about."""
    from tests.bench.monitor import rivals  # takes seconds

    values = np.random.default_rng(1).standard_normal((1_000, 40))
    river = rivals.lengths(lambda: rivals.RIVALS["KSWIN"][0](0.02), values[:, :12]).mean
    fast = rivals.FastKswin(12, np.random.default_rng(2)).lengths(values).mean
    assert 0.5 < fast / river < 2.0


def test_other_parts_figures_stay_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "monitor.json"
    keep(path, ["pure", "null"], "null", [Figure("a", 1, "events")])
    keep(path, ["pure", "null"], "pure", [Figure("b", 2, "events")])
    keep(path, ["pure", "null"], "null", [Figure("c", 3, "events")])
    assert [(each["name"], each["part"]) for each in json.loads(path.read_text())] == [("b", "pure"), ("c", "null")]
