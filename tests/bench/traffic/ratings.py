"""Thumbs and scores given by chance, through the judge that ships: harm and health without a single label."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monitor.detectors.risk import upper_bound
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.traffic.goals import figure
from tests.monitor.support.graded import graded
from tests.monitor.support.world import World, make

REFERENCE, RATINGS, HORIZON = 300, 20_000, 1_000
DOWN, HARMED = 0.05, 0.3  # of the thumbs; of labels the wrong ones
SCORE, WORSE, SPREAD = 0.2, 0.36, 0.15  # mean loss by score, and how much scores vary
WORLDS, DELAYS = (10, 1), (400, 20)  # whole and quick

Give = Callable[[World, list[str], bool], object]


def harm(quick: bool) -> list[Figure]:
    """Ratings from the fall on until it is found, over labels that are wrong as often as thumbs are down."""
    runs = DELAYS[quick]
    labels = _delays(_label, runs)
    figures = [Figure("labels until 5 -> 30 % wrong is found", float(labels.mean()), "labels")]
    for name, give, fall in (("thumbs", _thumb, "5 -> 30 % down"), ("scores", _score, "0.80 -> 0.64")):
        found = _delays(give, runs)
        share = 100 * float((found < HORIZON).mean())
        worst = float((found.mean() + 1.96 * found.std() / runs**0.5) / labels.mean())
        about = f"mean {found.mean():.1f} {name}, found in {share:.4g} %"
        figures.append(figure(f"{name} until {fall} is found over labels until 5 -> 30 % wrong is", worst, "x", about))
    return figures


def healthy(quick: bool) -> list[Figure]:
    """Alarms in 20,000 ratings that are as good as ever, over several worlds: the upper end of the mean, 95 %."""
    figures = []
    for name, give in (("thumbs", _thumb), ("scores", _score), ("thumbs and labels", _both)):
        note(f"healthy: {name}")
        alarms = sum(_alarms(give, seed) for seed in range(WORLDS[quick]))
        high = RATINGS * upper_bound(alarms, RATINGS * WORLDS[quick], 0.975)
        what = f"false quality alarms in 20,000 healthy ratings, {name}"
        figures.append(figure(what, high, "alarms", f"{alarms} in {WORLDS[quick]} worlds"))
    return figures


def _delays(give: Give, runs: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    note(f"harm: {give.__name__.strip('_')}")
    return np.array([_until_found(give, seed) for seed in range(runs)], dtype=np.float64)


def _until_found(give: Give, seed: int) -> int:
    world = _referenced(give, seed)
    for count in range(1, HORIZON + 1):
        give(world, world.serve(1), True)
        if world.alarms("quality"):
            return count
    return HORIZON


def _alarms(give: Give, seed: int) -> int:
    world = _referenced(give, 1_000 + seed)
    for _ in range(RATINGS // 100):
        give(world, world.serve(100), False)
    return len(world.alarms("quality"))


def _referenced(give: Give, seed: int) -> World:
    """A world with a complete reference, half of it judged as it came."""
    world = make(seed, reference_events=REFERENCE)
    for _ in range(REFERENCE // 10 + 2):
        give(world, world.serve(10)[::2], False)
    return world


def _thumb(world: World, ids: list[str], harmed: bool) -> None:
    world.rate(ids, (world.rng.random(len(ids)) < (HARMED if harmed else DOWN)).astype(float).tolist())


def _score(world: World, ids: list[str], harmed: bool) -> None:
    world.rate(ids, graded(world.rng, len(ids), WORSE if harmed else SCORE, SPREAD), measure="score")


def _label(world: World, ids: list[str], harmed: bool) -> None:
    world.label(ids, 1.0 - (HARMED if harmed else DOWN), origin="random/app")


def _both(world: World, ids: list[str], harmed: bool) -> None:
    half = len(ids) // 2
    _thumb(world, ids[:half], harmed)
    world.label(ids[half:], 0.7, origin="random/app")
