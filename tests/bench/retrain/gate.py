"""What the gate lets pass, and how many rows it takes: `python -m tests.bench.retrain --only gate [--quick]`.

A retraining is asked in steps and judged by the code that ships; only the answers are drawn. Of a share, the bad end of
its 95 % interval is what must meet its goal. Next to it, on the same pairs, McNemar's exact test at one size that is
fixed before, and evalsig's sequential gate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from evalsig import sequential_gate
from numpy.typing import NDArray
from scipy.stats import binom

from deploy.show.intervals import wilson
from monitor.detectors.paired import e_value, tallied
from retrain.settings import RetrainSettings
from tests.bench.retrain.goals import figure
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.retrain.support.drawn_gate import Answers, differing, harming, passes, promoted

DECISIONS = (2_000, 40)  # whole and quick
SEED = 1
GAIN, DISCORDANT = 0.1, 0.2
FARTHEST = 2_000  # pairs that a comparison may take
ROWS, MEANWHILE = 400, 200  # to judge on, and labelled while a candidate trains
ATTEMPTS = tuple(100 + 50 * number for number in range(10))  # rows of each of ten attempts at one alarm
BETTER = RetrainSettings(min_gain=0.0)  # must be better, by however little


def measured(quick: bool) -> list[Figure]:
    """What passes that should not, and how soon passes what should."""
    return [*_pairs(DECISIONS[quick]), *_wrong(DECISIONS[quick]), *_right(DECISIONS[quick] // 10)]


def _wrong(runs: int) -> Iterator[Figure]:
    """Candidates that must not pass. Each has the level of a first attempt, but for the ten attempts."""
    half = DISCORDANT / 2
    worlds: dict[str, tuple[RetrainSettings, Answers, tuple[int, ...], int]] = {
        "3 points worse": (BETTER, differing(half - 0.015, half + 0.015), (ROWS,), MEANWHILE),
        "equal, must be better": (BETTER, differing(half, half), (ROWS,), MEANWHILE),
        "equal, ten attempts at one alarm": (BETTER, differing(half, half), ATTEMPTS, 0),
        "a third loses half of its right answers": (RetrainSettings(), harming("a", 0.9), (ROWS,), MEANWHILE),
        "a third loses half of its right answers, often wrong": (RetrainSettings(), harming("a", 0.6), (ROWS,), 0),
    }
    for name, (settings, answers, tries, meanwhile) in worlds.items():
        note(name)
        share = promoted(settings, answers, tries, meanwhile, runs, SEED)
        worst = wilson(share * runs, runs)[1]
        note(f"{name}: {share * runs:.0f} of {runs} promoted")
        yield figure(f"promoted, bad end: {name}", 100 * worst, "%", f"{100 * share:.2f} % of {runs} decisions")


def _right(runs: int) -> Iterator[Figure]:
    """Candidates that are better, through a whole retraining: how often they pass, by fresh labelled rows."""
    for gain in (0.10, 0.145, 0.20):
        for fresh in (200, 400, 800):
            note(f"+{100 * gain:g} points, {fresh} rows")
            share = 100 * passes(gain, fresh, fresh // 2, runs, SEED)
            yield Figure(f"promoted: +{100 * gain:g} points, {fresh} fresh rows, {fresh // 2} more", share, "%")


def _pairs(runs: int) -> Iterator[Figure]:
    """Pairs until 10 points more, at 20 % discordant, are proven better."""
    rng = np.random.default_rng(SEED)
    shares = ((DISCORDANT + GAIN) / 2, (DISCORDANT - GAIN) / 2, 1 - DISCORDANT)
    streams = [rng.choice((1.0, -1.0, 0.0), size=FARTHEST, p=shares) for _ in range(runs)]
    for alpha in (0.025, 0.05):
        note(f"pairs at level {alpha:g}")
        ours = np.array([_until(stream, alpha) for stream in streams])
        theirs = np.array([sequential_gate(stream, alpha=alpha).n_pairs for stream in streams])
        fixed = mcnemar(shares[0], shares[1], alpha)
        once = f"McNemar's exact test, once, has 80 % power with {fixed}"
        for name, quantile in (("median", 0.5), ("four of five", 0.8)):
            value, peer = (float(np.quantile(each, quantile)) for each in (ours, theirs))
            yield figure(f"pairs, {name}, level {alpha:g}", value, "pairs", once, "evalsig", peer)


def _until(stream: NDArray[np.float64], alpha: float) -> int:
    """Return the pairs until the candidate is proven better, looked at after each."""
    times: dict[float, int] = {}
    for number, difference in enumerate(stream.tolist(), 1):
        times[difference] = times.get(difference, 0) + 1
        if difference > 0 and e_value(tallied(times)) >= 1 / alpha:
            return number
    return len(stream)


def mcnemar(won: float, lost: float, alpha: float, power: float = 0.8) -> int:
    """Return the least pairs with which McNemar's exact test, one-sided and once, has the power."""
    low, high = 1, FARTHEST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(won, lost, alpha, middle) >= power else (middle, high)
    return high


def _power(won: float, lost: float, alpha: float, pairs: int) -> float:
    discordant = np.arange(pairs + 1)
    needed = binom.isf(alpha, discordant, 0.5) + 1  # wins of the discordant pairs that are significant
    chances = binom.pmf(discordant, pairs, won + lost) * binom.sf(needed - 1, discordant, won / (won + lost))
    return float(chances.sum())
