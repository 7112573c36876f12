"""Harm, health and drift behind whatever stands around a question: the judge that ships, on prompts that are described
by the describer that ships."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from deploy.demo.world.requests import KINDS, TURNS, Kind, request
from deploy.demo.world.world import world
from monitor.describe.descriptors import DescribedReplies, Describer, ReplyText
from streams.lake.table import question
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.traffic.goals import figure
from tests.monitor.support.world import World, make

RIGHT, HARMED = 0.95, 0.3
DELAYS, LABELS, SHIFTS = 400, 20_000, 40
HORIZON = 1_000  # labels
REFERENCE, LARGER = 300, 1_000
Floats = NDArray[np.float64]

OPEN = 30  # conversations at a time


@cache
def described(kind: Kind, later: bool) -> DescribedReplies:
    """Each message of the demo's world once, before or after new subjects came, as requests of this kind have it."""
    rng = Random(f"{kind} {later}")
    prompts = [question(request(kind, rng, row.text)) for row in world()[later]]
    return Describer().read([ReplyText(prompt, "refund", 20, 1, None, None) for prompt in prompts])


@dataclass
class Served:
    """A world whose replies are to requests of one kind."""

    world: World
    kind: Kind

    def serve(self, count: int, later: bool = False) -> list[str]:
        """Serve so many replies through one key; those of conversations are of one of some at a time."""
        drawn, found = self.world.rng, described(self.kind, later)
        at = drawn.choice(len(found.prints), count, replace=count > len(found.prints)).tolist()
        values = found.values[at]
        values[:, -2:] = -np.abs(drawn.standard_normal((count, 2)))
        return self.world.serve(
            count,
            values=values,
            fingerprints=[found.prints[i] for i in at],
            sums=[found.sums[i] for i in at],
            passages=[found.passages[i] for i in at],
            clients=[self._client(self.world.sent + i) for i in range(count)],
        )

    def _client(self, number: int) -> str:
        if self.kind != "conversation":
            return "app"
        return f"app/{number // (TURNS * OPEN) * OPEN + int(self.world.rng.integers(OPEN))}"


def harm(quick: bool) -> list[Figure]:
    """Labels from the fall on until it is found, of each kind."""
    runs = 20 if quick else DELAYS
    delays = {kind: np.array([_labels_until_found(kind, seed) for seed in range(runs)]) for kind in KINDS}
    bare = delays["bare"]
    figures = [Figure("labels until 95 -> 30 % is found, bare messages", float(bare.mean()), "labels")]
    for kind in KINDS[1:]:
        name = f"labels until 95 -> 30 % is found over those of bare messages, {kind}"
        figures.append(figure(name, _ratio(delays[kind], bare), "x", f"mean {delays[kind].mean():.1f} labels"))
    return figures


def healthy(quick: bool) -> list[Figure]:
    """Alarms on healthy worlds."""
    figures = []
    for seed, kind in enumerate(KINDS):
        served = _referenced(kind, 1_000 + seed, LARGER)
        labels = 1_000 if quick else LABELS
        for _ in range(labels // 100):
            served.world.label(served.serve(100), RIGHT)
        for what, of in (("quality", "labels"), ("drift", "replies")):
            name = f"false {what} alarms in 20,000 healthy {of}, {kind}"
            figures.append(figure(name, len(served.world.alarms("drift" if what == "drift" else "quality")), "alarms"))
        note(f"healthy: {kind}")
    return figures


def drift(quick: bool) -> list[Figure]:
    """Replies from the change on until new subjects are found, of each kind."""
    runs = 4 if quick else SHIFTS
    delays = {kind: np.array([_replies_until_found(kind, seed) for seed in range(runs)]) for kind in KINDS}
    bare = delays["bare"]
    figures = [Figure("replies until new subjects are found, bare messages", float(bare.mean()), "replies")]
    for kind in KINDS[1:]:
        name = f"replies until new subjects are found over those of bare messages, {kind}"
        figures.append(figure(name, _ratio(delays[kind], bare), "x", f"mean {delays[kind].mean():.0f} replies"))
    return figures


def _referenced(kind: Kind, seed: int, reference: int) -> Served:
    """A world with a complete reference, half of it labelled as it came."""
    served = Served(make(seed, reference_events=reference), kind)
    for _ in range(reference // 10 + 2):
        served.world.label(served.serve(10)[::2], RIGHT)
    return served


def _labels_until_found(kind: Kind, seed: int) -> int:
    served = _referenced(kind, seed, REFERENCE)
    before = served.world.labelled
    while not served.world.alarms("quality") and served.world.labelled < before + HORIZON:
        served.world.label(served.serve(1), HARMED)
    return served.world.labelled - before


def _replies_until_found(kind: Kind, seed: int) -> int:
    served = _referenced(kind, seed, LARGER)
    before = served.world.sent
    while not served.world.alarms("drift") and served.world.sent < before + 5 * HORIZON:
        served.serve(10, later=True)
    return served.world.sent - before


def _ratio(mine: Floats, theirs: Floats) -> float:
    """The upper end of the ratio of the means, 95 %: by the means' own errors."""
    errors = [each.std() / each.mean() / len(each) ** 0.5 for each in (mine, theirs)]
    return float(mine.mean() / theirs.mean() * np.exp(1.96 * np.hypot(*errors)))
