"""The course of a training: its losses, its validation losses, and the best adapter so far."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from retrain.training.batches import Encoded
from retrain.training.recipe import Training


@dataclass(slots=True)
class Course:
    """What a checkpoint keeps next to weights and moments, so that a resumed training decides as an unbroken one."""

    losses: list[float] = field(default_factory=list)  # of each step, in nats a token
    validation: list[tuple[int, float]] = field(default_factory=list)  # steps done -> loss on the rows held back
    best: dict[str, torch.Tensor] = field(default_factory=dict)  # the adapter at the best of them
    rows_at_once: int = 0  # as memory allowed

    @property
    def best_step(self) -> int:
        """The step with the lowest validation loss, the first of equals; 0 where there is none."""
        return min(self.validation, key=lambda each: each[1])[0] if self.validation else 0

    def judged(self, loss: float, adapter: dict[str, torch.nn.Parameter]) -> None:
        """Note the validation loss after the last step; keep a copy of the adapter where it is the best."""
        self.validation.append((len(self.losses), loss))
        if self.best_step == len(self.losses):
            self.best = {name: weight.detach().to("cpu", copy=True) for name, weight in adapter.items()}

    def over(self, knobs: Training) -> bool:
        """Return whether the validation loss has not got better for `patience` times. Not before `min_steps`."""
        if not knobs.patience or not self.validation or len(self.losses) < knobs.min_steps:
            return False
        return sum(step > self.best_step for step, _ in self.validation) >= knobs.patience


def due(knobs: Training, step: int, steps: int) -> bool:
    """Return whether there is a validation loss after so many steps."""
    return step % knobs.validation_steps == 0 or step == steps


def held_back(rows: Sequence[Encoded], share: float) -> tuple[list[Encoded], list[Encoded]]:
    """Return the rows to learn from, and about that share of the different ones to measure on. Which ones depends on
    each row alone; equal rows are on one side. There is always one to learn from."""
    ranked = sorted({_digest(row) for row in rows})
    held = set(ranked[: min(round(share * len(ranked)), len(ranked) - 1)])
    kept = [row for row in rows if _digest(row) not in held]
    measured = {_digest(row): row for row in rows if _digest(row) in held}
    return kept, [measured[each] for each in sorted(measured)]


def _digest(row: Encoded) -> bytes:
    return hashlib.sha256(json.dumps([row.prompt, row.completion]).encode()).digest()
