"""The batches of a training, planned before it starts, so that a resumed run sees the same rows."""

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


def step_count(rows: int, batch_rows: int, epochs: float, least: int, most: int) -> int:
    """Return the number of batches that `epochs` passes take, bounded by `least` and `most`.

    >>> step_count(100, batch_rows=8, epochs=2, least=1, most=1000)
    26
    """
    return min(most, max(least, round(epochs * -(-rows // batch_rows))))


def schedule(lengths: Sequence[int], batch_rows: int, steps: int, seed: int) -> list[list[int]]:
    """Return `steps` batches of row indices. Each row is in one batch before any is in a second one; rows of a batch
    are of similar length.

    >>> sorted(i for batch in schedule(range(1, 9), 4, 2, seed=0) for i in batch)
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    rng = random.Random(seed)
    batches: list[list[int]] = []
    while len(batches) < steps:
        batches += _epoch(lengths, batch_rows, rng)
    return batches[:steps]


def shares(batch: Sequence[int], size: int, rank: int, world: int) -> list[list[int]]:
    """Return the rows that device `rank` of `world` takes in one optimiser step, in pieces of at most `size` rows. The
    devices' shares differ by one row at most.

    >>> shares([1, 2, 3, 4, 5], size=2, rank=0, world=2), shares([1, 2, 3, 4, 5], size=2, rank=1, world=2)
    ([[1, 3], [5]], [[2, 4]])
    """
    mine = batch[rank::world]
    return [list(mine[i : i + size]) for i in range(0, len(mine), size)]


def _epoch(lengths: Sequence[int], batch_rows: int, rng: random.Random) -> list[list[int]]:
    order = list(range(len(lengths)))
    rng.shuffle(order)
    span = batch_rows * BUCKET
    batches: list[list[int]] = []
    for start in range(0, len(order), span):
        bucket = sorted(order[start : start + span], key=lambda i: lengths[i])
        batches += [bucket[i : i + batch_rows] for i in range(0, len(bucket), batch_rows)]
    rng.shuffle(batches)
    return batches
