"""Labelled harm: labels between false alarms at the limit, and until a fall in accuracy is proven."""

from __future__ import annotations

import numpy as np

from monitor.detectors.risk import Risk
from tests.bench.tools.figures import Figure
from tests.monitor.support.world import make

ARL = 10_000
HORIZON = 4 * ARL
BASELINE = 0.1
GOALS = {0.10: {0.2: 150.0, 0.4: 30.0, 0.7: 11.0}, 0.13: {0.2: 300.0, 0.4: 40.0, 0.7: 13.0}}  # limit, rate: labels


def measured(quick: bool) -> list[Figure]:
    few, many = (20, 50) if quick else (150, 500)
    figures: list[Figure] = []
    for limit, goals in GOALS.items():
        kept = [labels_until(limit, limit, seed, HORIZON) for seed in range(few)]
        cut = (
            f"{np.mean([n == HORIZON for n in kept]):.1%} of {few} runs cut off at {HORIZON}, the mean is at least this"
        )
        what = f"limit {limit:.2f}: labels between false alarms at the limit"
        figures.append(Figure(what, float(np.mean(kept)), "labels", ARL, "higher", note=cut))
        for rate, goal in goals.items():
            delay = np.mean([labels_until(limit, rate, seed, 20_000) for seed in range(many)])
            what = f"limit {limit:.2f}: labels until accuracy {1 - rate:.1f} is found"
            figures.append(Figure(what, float(delay), "labels", goal))
    return [*figures, small_reference(quick), healthy_labels(quick)]


def labels_until(limit: float, rate: float, seed: int, horizon: int) -> int:
    """`horizon` where nothing is found."""
    losses = (np.random.default_rng(seed).random(horizon) < rate).astype(float)
    detector = Risk(limit, ARL)
    state, moments = detector.start(), [("", 0)] * 200
    for low in range(0, horizon, 200):
        part = losses[low : low + 200].tolist()
        state, harm = detector.update(state, part, moments[: len(part)])
        if harm is not None:
            return low + harm.step + 1
    return horizon


def small_reference(quick: bool) -> Figure:
    """The demo's size: 300 events, 150 labels, accuracy from 95 % to 55 %."""
    needed = []
    for seed in range(3 if quick else 25):
        world = make(seed)
        world.label(world.serve(300)[::2], 0.95)
        before = world.labelled
        while not world.alarms("quality") and world.labelled < before + 200:
            world.label(world.serve(1), 0.55)
        needed.append(world.labelled - before)
    return Figure("labels, 95 % to 55 %, 150 reference labels: half of them", float(np.median(needed)), "labels", 30)


def healthy_labels(quick: bool) -> Figure:
    """Quality alarms in healthy streams of 1,000 labelled events after such a reference."""
    raised, worlds = 0, 3 if quick else 25
    for seed in range(worlds):
        world = make(seed)
        world.label(world.serve(300)[::2], 0.95)
        for _ in range(10):
            world.label(world.serve(100), 0.95)
        raised += len(world.alarms("quality"))
    return Figure(f"quality alarms in {worlds * 1_000:,} healthy labels", float(raised), "alarms", 0)
