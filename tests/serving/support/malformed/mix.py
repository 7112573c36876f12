"""So many cases of every kind, the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tests.serving.support.malformed import bodies, framing, heads
from tests.serving.support.malformed.case import Case, Maker

MAKERS: tuple[Maker, ...] = (*bodies.MAKERS, *framing.MAKERS, *heads.MAKERS)
HEAVY_SHARE = 0.01  # megabytes each: enough of them, and no more


def cases(seed: int, count: int, key: str) -> Iterator[Case]:
    """By turns of every kind."""
    rng = Random(seed)
    for i in range(count):
        makers: tuple[Maker, ...] = bodies.HEAVY if rng.random() < HEAVY_SHARE else (MAKERS[i % len(MAKERS)],)
        yield rng.choice(makers)(rng, key)


def drips(seed: int, count: int, key: str) -> Iterator[Case]:
    """Clients that never get to the end of their request."""
    rng = Random(seed)
    for _ in range(count):
        yield heads.drip(rng, key)
