"""How many events a second the pure parts take, one core."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from monitor.describe.descriptors import NAMES, Describer, ReplyText
from tests.bench.tools.figures import Figure
from tests.monitor.support.world import VERSION, make


def measured(quick: bool) -> list[Figure]:
    words = ["where", "is", "my", "card", "order", "refund", "payment", "the", "app", "please", "help", "today"]
    rng = np.random.default_rng(0)
    replies = [
        ReplyText(" ".join(rng.choice(words, 14)) + "?", "card_arrival", 18, 4, -0.1, -0.4) for _ in range(1_000)
    ]
    world = make(reference_events=2_000)
    world.label(world.serve(2_000)[::2], 0.95)
    describer = Describer()
    describing = per_second(1_000, lambda: describer.read(replies), 1 if quick else 5)
    judging = per_second(1_000, lambda: world.serve(1_000), 1 if quick else 5)
    both = 1.0 / (1.0 / describing + 1.0 / judging)
    few = per_second(1_000, lambda: [world.serve(10) for _ in range(100)], 1 if quick else 5)
    served = iter(world.serve(2_000))
    labels = per_second(400, lambda: [world.label([next(served)], 1.0) for _ in range(400)], 1 if quick else 5)
    assert VERSION in world.state.watches
    return [
        Figure("describe and fingerprint", describing, "events/s", 16_000, "higher"),
        Figure(f"judge, {len(NAMES)} descriptors", judging, "events/s", 16_000, "higher"),
        Figure("describe and judge, one core", both, "events/s", 8_000, "higher"),
        Figure("judge, 10 replies at a time", few, "events/s"),
        Figure("judge, one label at a time", labels, "labels/s"),
    ]


def per_second(count: int, work: Callable[[], object], times: int) -> float:
    """The best of so many, by the processor's time: other processes do not count."""
    best = float("inf")
    for _ in range(times):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return count / best
