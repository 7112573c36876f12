"""What labels are worth by who chose them: `python -m tests.bench.traffic.selection [--runs N] [--delays N]`.

Promotions by the gate that ships, on rows whose labels came about in different ways; labels until harm is found, with a
judge model and without; complaints. Prints a table and writes `var/bench/selection.json`: an hour with 1,000 decisions
and 400 delays on one core, a minute with `--runs 20 --delays 20`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from deploy.show.intervals import wilson
from tests.bench.tools.figures import Figure, tell
from tests.bench.tools.progress import note
from tests.monitor.support.audited import Judge, binary, coin, delays, graded, learned
from tests.monitor.support.complaining import watched
from tests.retrain.support.selected_gate import CHOICES, promoted

OUT = Path("var/bench/selection.json")
GAIN, DISCORDANT = 0.1, 0.2
WORSE = (-0.05, -0.1, -0.2)
POWER = ("audit", "audit, a tenth missing")
UNDECIDED = "audit, a third missing"


@click.command()
@click.option("--runs", type=int, default=1_000, show_default=True)
@click.option("--delays", "times", type=int, default=400, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(runs: int, times: int, seed: int) -> None:
    """Verdicts, delays and alarms, by who chose the labels."""
    tell([*figures(runs, times, seed)], OUT)


def figures(runs: int, times: int, seed: int) -> Iterator[Figure]:
    """All of them."""
    yield from bad(runs, seed)
    yield from good(runs, seed)
    yield from judged(times)
    yield from complained(times, runs)


def bad(runs: int, seed: int) -> Iterator[Figure]:
    """Candidates that are worse."""
    for name in CHOICES:
        if name == UNDECIDED:
            continue
        goal = 0.0 if name.startswith("volunteered") else 5.0
        for gain in WORSE:
            note(f"{name}: {100 * gain:+g} points")
            share = 100 * promoted(name, gain, DISCORDANT, runs, seed)
            yield Figure(f"{100 * gain:+g} points promoted: {name}", share, "%", goal)


def good(runs: int, seed: int) -> Iterator[Figure]:
    """Candidates that are better."""
    fair = 100 * promoted("random", GAIN, DISCORDANT, runs, seed)
    yield Figure(f"{100 * GAIN:+g} points promoted: random", fair, "%")
    for name in POWER:
        note(f"{name}: {100 * GAIN:+g} points")
        share = 100 * promoted(name, GAIN, DISCORDANT, runs, seed)
        yield Figure(f"{100 * GAIN:+g} points promoted: {name}", share, "%", fair - 5.0, "higher", "random", fair)
    share = 100 * promoted(UNDECIDED, GAIN, DISCORDANT, runs, seed, "inconclusive")
    yield Figure(f"{100 * GAIN:+g} points inconclusive: {UNDECIDED}", share, "%", 95.0, "higher")


def judged(times: int) -> Iterator[Figure]:
    """Labels to find accuracy 0.9 -> 0.8 with an audit of a twentieth, against labels alone."""
    cases: tuple[tuple[str, Judge, Judge, float], ...] = (
        ("a judge that says yes or no", binary, binary, -15.0),
        ("a judge that says how sure", graded, graded, -15.0),
        ("a judge that has become a coin", coin, binary, 12.0),
        ("a judge that always was a coin", coin, coin, 12.0),
    )
    for name, judge, when_learned, goal in cases:
        note(name)
        found = np.array([delays(judge, learned(when_learned), seed) for seed in range(times)], dtype=float)
        alone, powered = found.mean(axis=0).tolist()
        ratio = found[:, 1] / found[:, 0].mean() - powered / alone * found[:, 0] / found[:, 0].mean()
        error = 1.96 * float(ratio.std()) / len(found) ** 0.5
        change, worst = 100 * (powered / alone - 1.0), 100 * (powered / alone - 1.0 + error)
        yield Figure(f"labels, bad end of the interval: {name}", worst, "%", goal, "lower", "mean", change)


def complained(times: int, runs: int) -> Iterator[Figure]:
    """Complaints of 1 % of right and 8 % of wrong answers, at 100,000 replies between false alarms."""
    note("complaints: accuracy 0.9 -> 0.6")
    found = sum((watched(0.6, 2_500, seed)[1] or 9_999) <= 2_500 for seed in range(times))
    low = 100 * wilson(found, times)[0]
    share = 100 * found / times
    yield Figure("complaints found within 2,500 matured replies", share, "%", 95.0, "higher", "low end", low)
    note("complaints: healthy")
    healthy = max(1, runs // 5)
    alarms = sum(watched(0.9, 100_000, 10_000 + seed)[1] is not None for seed in range(healthy))
    high = 100 * wilson(alarms, healthy)[1]
    yield Figure(
        "healthy runs of 100,000 replies with an alarm", 100 * alarms / healthy, "%", 20.0, "lower", "high end", high
    )


if __name__ == "__main__":
    main()
