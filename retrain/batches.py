"""Which rows are seen when: planned before training starts, so that a resumed run sees the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

BUCKET = 8  # batches that are sorted by length together: little padding, yet well mixed


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row in token ids."""

    prompt: list[int]
    completion: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


def schedule(rows: Sequence[Encoded], batch_size: int, steps: int, seed: int) -> list[list[int]]:
    """`steps` batches of row indices; every row is seen once before any is seen twice.

    >>> rows = [Encoded([1] * n, [2]) for n in range(1, 9)]
    >>> sorted(i for batch in schedule(rows, 4, 2, seed=0) for i in batch)
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    rng = random.Random(seed)
    batches: list[list[int]] = []
    while len(batches) < steps:
        batches += _epoch(rows, batch_size, rng)
    return batches[:steps]


def _epoch(rows: Sequence[Encoded], batch_size: int, rng: random.Random) -> list[list[int]]:
    order = list(range(len(rows)))
    rng.shuffle(order)
    span = batch_size * BUCKET
    batches: list[list[int]] = []
    for start in range(0, len(order), span):
        bucket = sorted(order[start : start + span], key=lambda i: len(rows[i]))
        batches += [bucket[i : i + batch_size] for i in range(0, len(bucket), batch_size)]
    rng.shuffle(batches)
    return batches
