"""Labels that come in lumps: between false alarms below the limit, and until harm is proven.

What a reference says of dependence, blocks, limit and test are the functions that ship; only the loop over runs is this
module's. Wrong answers come in episodes, in the reference as later; or one person's labels come in one turn; or a file
is sorted by verdict."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.random import Generator

from monitor.detectors.risk import Risk
from monitor.reference.dependence import LabelledLosses, known_of
from monitor.settings import MonitorSettings
from monitor.signals.quality import baseline, tester
from tests.bench.monitor.worlds import Floats
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.monitor.support.world import make

EPISODES = (1, 5, 10, 20)
MEAN, BAD, CALM = 0.08, 0.8, 0.02  # error rates: of all labels, in an episode, outside of one
CHUNK = 200
HEALTHY = 200  # labels before a change


@dataclass(frozen=True, slots=True)
class Labelled:
    """A world: labels in the reference, and in an episode of errors."""

    reference: int = 1_000
    episode: int = 1

    def draw(self, rng: Generator, labels: int) -> Floats:
        """Losses in order, `MEAN` of them on average."""
        if self.episode == 1:
            return (rng.random(labels) < MEAN).astype(np.float64)
        share = (MEAN - CALM) / (BAD - CALM)
        calm = self.episode * (1.0 - share) / share
        bad: list[bool] = []
        while len(bad) < labels:
            bad += [False] * int(rng.geometric(1.0 / calm)) + [True] * self.episode
        rates = np.where(bad[:labels], BAD, CALM)
        return (rng.random(labels) < rates).astype(np.float64)


def measured(quick: bool) -> list[Figure]:
    runs, horizon = (10, 20_000) if quick else (200, 40_000)
    figures: list[Figure] = []
    for reference in (150, 300, 1_000, 2_000):
        for episode in EPISODES:
            found = run_lengths(Labelled(reference, episode), runs=runs, horizon=horizon)
            what = f"{reference} reference labels, errors in episodes of {episode}: labels between false alarms"
            goal = 10_000 if reference >= 300 else None  # fewer hold too few episodes
            figures.append(Figure(what, float(np.mean(found)), "labels", goal, "higher", note=f"cut off at {horizon}"))
        note(f"labels, reference of {reference:,}")
    for later in (0.3, 0.45, 0.8):
        ours, plain = delays(later, runs=20 * runs), delays(later, runs=20 * runs, plain=True)
        what = f"errors from {MEAN:.0%} to {later:.0%}, 1,000 reference labels: labels needed"
        figures.append(Figure(what, float(np.mean(ours)), "labels", 1.15 * float(np.mean(plain))))
    return [*figures, *files(quick)]


def files(quick: bool) -> list[Figure]:
    """Alarms of whole judges: labels of a day in one file, sorted by verdict."""
    worlds, figures = 3 if quick else 50, []
    for first in (True, False):
        raised = 0
        for seed in range(worlds):
            world = make(seed)
            ids, right = world.serve(600), (world.rng.random(600) < 1.0 - MEAN).tolist()
            ordered = sorted(range(600), key=lambda k: (right[k] != first, k))
            world.label([ids[k] for k in ordered], [right[k] for k in ordered])
            raised += len(world.alarms("quality"))
        what = f"healthy files of 600 labels, {'right' if first else 'wrong'} ones first: alarms of {worlds}"
        figures.append(Figure(what, float(raised), "alarms", 0))
    return figures


def run_lengths(world: Labelled, *, runs: int, horizon: int) -> list[int]:
    """Labels until a false alarm; `horizon` where none came."""
    return [labels_until(world, np.random.default_rng(seed), horizon) for seed in range(runs)]


def labels_until(world: Labelled, rng: Generator, horizon: int) -> int:
    losses = world.draw(rng, world.reference + horizon)
    return _until(_known(tuple(losses[: world.reference])), losses[world.reference :])


def delays(later: float, *, runs: int, plain: bool = False) -> list[int]:
    """Labels from where the error rate rises until that is proven; `plain`: as if no labels depended on others."""
    found = (delay(later, np.random.default_rng(seed), plain=plain) for seed in range(runs))
    return [labels for labels in found if labels > 0]


def delay(later: float, rng: Generator, *, plain: bool) -> int:
    draw = partial(Labelled().draw, rng)
    known, healthy = _known(tuple(draw(Labelled().reference))), draw(HEALTHY)
    worse = (rng.random(4_000) < later).astype(np.float64)
    if plain:
        known = LabelledLosses(known.labelled, known.loss, known.labelled, known.rate, known.labelled)
    return _until(known, np.concatenate((healthy, worse))) - HEALTHY


@lru_cache(maxsize=256)  # each of a seed's worlds has its reference
def _known(losses: tuple[float, ...]) -> LabelledLosses:
    return known_of(losses, range(len(losses)))


def _until(known: LabelledLosses, losses: Floats) -> int:
    settings = MonitorSettings()
    length = known.block
    test: Risk = tester(settings, baseline(settings, known))
    means = losses[: len(losses) // length * length].reshape(-1, length).mean(axis=1).tolist()
    state, moments = test.start(), [("", 0)] * CHUNK
    for low in range(0, len(means), CHUNK):
        part = means[low : low + CHUNK]
        state, harm = test.update(state, part, moments[: len(part)])
        if harm is not None:
            return (low + harm.step + 1) * length
    return len(losses)
