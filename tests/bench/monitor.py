"""How fast the monitor is, how rarely it is wrong and how soon it is right: `python -m tests.bench.monitor`.

Prints a table and writes `var/bench/monitor.json`. Peers' figures were measured with the same simulation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from monitor.descriptors import NAMES, Reply, describe, fingerprints
from monitor.detectors.location_spread import LocationSpread
from monitor.detectors.risk import Risk
from monitor.reference import event_scores, freeze, scorer
from tests.bench.figures import Figure, tell
from tests.monitor.world import VERSION, make

OUT = Path("var/bench/monitor.json")
ARL = 10_000


def run_length(shift: float, *, events: int, horizon: int, columns: int, moved: int, seed: int) -> int:
    """Events until an alarm, `horizon` where there is none."""
    rng = np.random.default_rng(seed)
    names = [f"x{j}" for j in range(columns)]
    ready = scorer(freeze(names, rng.standard_normal((events, columns)).tolist(), list(range(events))))
    detector = LocationSpread(ARL / ready.block, ready.dead_zone, tuple(names))
    state = detector.start()
    for low in range(0, horizon, 250):
        values = rng.standard_normal((250, columns))
        values[:, :moved] += shift
        scores = event_scores(ready, values, list(range(events + low, events + low + 250)))
        state, change = detector.update(state, scores, [("", 0)] * 250)
        if change is not None:
            return low + change.step + 1
    return horizon


def median_delay(shift: float, columns: int = 1, moved: int = 1, events: int = 2_000) -> float:
    runs = [
        run_length(shift, events=events, horizon=2_000, columns=columns, moved=moved, seed=seed) for seed in range(40)
    ]
    return float(np.median(runs))


def early_alarms(columns: int, events: int) -> float:
    """Share of healthy streams with an alarm in the first tenth of the events asked for."""
    runs = [run_length(0.0, events=events, horizon=1_000, columns=columns, moved=0, seed=seed) for seed in range(60)]
    return float(np.mean([length < 1_000 for length in runs]))


def median_labels(limit: float, rate: float) -> float:
    needed = []
    for seed in range(100):
        losses = (np.random.default_rng(seed).random(1_500) < rate).astype(float).tolist()
        detector = Risk(limit, ARL)
        _, harm = detector.update(detector.start(), losses, [("", 0)] * len(losses))
        needed.append(harm.step + 1 if harm else len(losses))
    return float(np.median(needed))


def small_reference_labels() -> float:
    """The demo's size: 300 events, 150 labels, accuracy from 95 % to 55 %."""
    needed = []
    for seed in range(25):
        world = make(seed)
        world.label(world.serve(300)[::2], 0.95)
        before = world.told
        while not world.alarms("quality") and world.told < before + 200:
            world.label(world.serve(1), 0.55)
        needed.append(world.told - before)
    return float(np.median(needed))


def healthy_quality_alarms() -> float:
    """Quality alarms in 25 healthy streams of 1,000 labelled events after such a reference."""
    raised = 0
    for seed in range(25):
        world = make(seed)
        world.label(world.serve(300)[::2], 0.95)
        for _ in range(10):
            world.label(world.serve(100), 0.95)
        raised += len(world.alarms("quality"))
    return float(raised)


def per_second(count: int, work: Callable[[], object]) -> float:
    """The best of five."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return count / best


def throughput() -> list[Figure]:
    words = ["where", "is", "my", "card", "order", "refund", "payment", "the", "app", "please", "help", "today"]
    rng = np.random.default_rng(0)
    replies = [Reply(" ".join(rng.choice(words, 14)) + "?", "card_arrival", 18, 4, -0.1, -0.4) for _ in range(1_000)]
    world = make(reference_events=2_000)
    world.label(world.serve(2_000)[::2], 0.95)
    describing = per_second(1_000, lambda: (describe(replies), fingerprints(replies)))
    judging = per_second(1_000, lambda: world.serve(1_000))
    both = 1.0 / (1.0 / describing + 1.0 / judging)
    assert VERSION in world.state.watches
    return [
        Figure("describe and fingerprint", describing, "events/s", 16_000, "higher"),
        Figure(f"judge, {len(NAMES)} descriptors", judging, "events/s", 16_000, "higher"),
        Figure("describe and judge, one core", both, "events/s", 8_000, "higher"),
    ]


def detection() -> list[Figure]:
    adwin = "ADWIN (river)"
    return [
        Figure("delay at 0.25 sigma", median_delay(0.25), "events", 295, "lower", adwin, 570),
        Figure("delay at 0.5 sigma", median_delay(0.5), "events", 80, "lower", adwin, 140),
        Figure("delay at 1 sigma", median_delay(1.0), "events", 25, "lower", adwin, 54),
        Figure("delay at 1 sigma in 1 of 15", median_delay(1.0, 15), "events", 40, "lower"),
        Figure("delay at 1 sigma, reference of 300", median_delay(1.0, events=300), "events", 40, "lower"),
        Figure("healthy, alarm before ARL/10, 15 descriptors", early_alarms(15, 2_000), "share", 0.095, "lower"),
        Figure("the same, reference of 300", early_alarms(15, 300), "share", 0.095, "lower"),
    ]


def harm() -> list[Figure]:
    return [
        Figure("labels to notice 0.8 at limit 0.10", median_labels(0.1, 0.2), "labels", 142, "lower"),
        Figure("labels to notice 0.6 at limit 0.10", median_labels(0.1, 0.4), "labels", 27, "lower"),
        Figure("labels to notice 0.3 at limit 0.10", median_labels(0.1, 0.7), "labels", 10, "lower"),
        Figure("labels, 95 % to 55 %, 150 reference labels", small_reference_labels(), "labels", 30, "lower"),
        Figure("quality alarms in 25,000 healthy labels", healthy_quality_alarms(), "alarms", 0, "lower"),
    ]


def main() -> None:
    figures = [*throughput(), *detection(), *harm()]
    tell(figures, OUT)


if __name__ == "__main__":
    main()
