"""Harm, health and drift behind whatever stands around a question: the judge that ships, on prompts that are described
by the describer that ships."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from deploy.demo.world.answers import reply
from deploy.demo.world.kinds import WorldKind, metric
from deploy.demo.world.requests import KINDS, TURNS, Kind
from deploy.demo.world.users import SURE
from deploy.demo.world.world import FILES, as_kind, world
from monitor.describe.descriptors import DescribedReplies, Describer, ReplyText
from monitor.metrics import rouge_l
from serving.gateway.openai.messages import messages
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
CLASSES: tuple[WorldKind, ...] = (*KINDS, "tools", "extraction")  # answers are right or wrong
OTHERS: tuple[WorldKind, ...] = ("free text", "sure")  # of which health alone is measured
PAIRS = 500  # of replies in words, of which losses are drawn


@cache
def described(kind: WorldKind, later: bool) -> DescribedReplies:
    """Each message of the demo's world once, before or after new subjects came, as rows of this kind have it;
    bare ones and those behind a prompt are all answered alike."""
    rows = as_kind(kind, 0, world()[later], FILES[later])
    asked = [(question(messages(row.asked)), "refund" if kind in KINDS else row.label) for row in rows]
    return Describer().read([ReplyText(prompt, answer, 20, 1, None, None) for prompt, answer in asked])


@cache
def worded() -> tuple[list[float], list[float]]:
    """Losses of right and of wrong replies in words."""
    rng, tickets = Random(0), world()[0]
    pairs = [(rng.choice(tickets), rng.choice(tickets)) for _ in range(PAIRS)]
    drawn = [(reply(rng, one.text, one.label), one, other) for one, other in pairs if one.label != other.label]
    return (
        [1.0 - rouge_l(reply(rng, one.text, one.label), truth) for truth, one, _ in drawn],
        [1.0 - rouge_l(reply(rng, other.text, other.label), truth) for truth, _, other in drawn],
    )


@dataclass
class Served:
    """A world whose replies are to requests of one kind."""

    world: World
    kind: WorldKind

    def serve(self, count: int, later: bool = False) -> list[str]:
        """Serve so many replies through one key; those of conversations are of one of some at a time."""
        drawn, found = self.world.rng, described(self.kind, later)
        at = drawn.choice(len(found.prints), count, replace=count > len(found.prints)).tolist()
        values = found.values[at]
        values[:, -2:] = -np.abs(drawn.standard_normal((count, 2))) * (SURE if self.kind == "sure" else 1.0)
        return self.world.serve(
            count,
            values=values,
            fingerprints=[found.prints[i] for i in at],
            sums=[found.sums[i] for i in at],
            passages=[found.passages[i] for i in at],
            clients=[self._client(self.world.sent + i) for i in range(count)],
        )

    def label(self, ids: list[str], accuracy: float) -> None:
        """Label these replies, as the kind's metric has it."""
        if self.kind != "free text":
            self.world.label(ids, accuracy)
            return
        rng, losses = self.world.rng, worded()
        drawn = [float(rng.choice(losses[each])) for each in (rng.random(len(ids)) >= accuracy).astype(int).tolist()]
        self.world.label(ids, drawn, metric=metric(self.kind))

    def _client(self, number: int) -> str:
        if self.kind != "conversation":
            return "app"
        return f"app/{number // (TURNS * OPEN) * OPEN + int(self.world.rng.integers(OPEN))}"


def harm(quick: bool) -> list[Figure]:
    """Labels from the fall on until it is found, of each kind."""
    runs = 20 if quick else DELAYS
    delays: dict[str, Floats] = {
        kind: np.array([_labels_until_found(kind, seed) for seed in range(runs)]) for kind in CLASSES
    }
    return _over_bare("labels until 95 -> 30 % is found", "labels", delays)


def healthy(quick: bool) -> list[Figure]:
    """Alarms on healthy worlds."""
    figures = []
    for seed, kind in enumerate((*CLASSES, *OTHERS)):
        served = _referenced(kind, 1_000 + seed, LARGER)
        labels = 1_000 if quick else LABELS
        for _ in range(labels // 100):
            served.label(served.serve(100), RIGHT)
        for what, of in (("quality", "labels"), ("drift", "replies")):
            name = f"false {what} alarms in 20,000 healthy {of}, {kind}"
            figures.append(figure(name, len(served.world.alarms("drift" if what == "drift" else "quality")), "alarms"))
        note(f"healthy: {kind}")
    return figures


def drift(quick: bool) -> list[Figure]:
    """Replies from the change on until new subjects are found, of each kind."""
    runs = 4 if quick else SHIFTS
    delays: dict[str, Floats] = {
        kind: np.array([_replies_until_found(kind, seed) for seed in range(runs)]) for kind in KINDS
    }
    return _over_bare("replies until new subjects are found", "replies", delays)


def _over_bare(what: str, unit: str, delays: Mapping[str, Floats]) -> list[Figure]:
    """The delays of bare messages, and how many times as long those of each other kind are."""
    bare = delays["bare"]
    others = {kind: found for kind, found in delays.items() if found is not bare}
    return [
        Figure(f"{what}, bare messages", float(bare.mean()), unit),
        *(
            figure(
                f"{what} over those of bare messages, {kind}",
                _ratio(found, bare),
                "x",
                f"mean {found.mean():.1f} {unit}",
            )
            for kind, found in others.items()
        ),
    ]


def _referenced(kind: WorldKind, seed: int, reference: int) -> Served:
    """A world with a complete reference, half of it labelled as it came."""
    served = Served(make(seed, reference_events=reference), kind)
    for _ in range(reference // 10 + 2):
        served.label(served.serve(10)[::2], RIGHT)
    return served


def _labels_until_found(kind: WorldKind, seed: int) -> int:
    served = _referenced(kind, seed, REFERENCE)
    before = served.world.labelled
    while not served.world.alarms("quality") and served.world.labelled < before + HORIZON:
        served.label(served.serve(1), HARMED)
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
