"""One process among several that train together."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from retrain.training import recipe
from retrain.training.batches import Encoded
from retrain.training.loop import learner as module
from retrain.training.loss import answer_loss
from retrain.training.train import train
from tests.retrain.support.trainings import ROWS


def knobs(batch: int, steps: int, accumulation: int = 1) -> recipe.Recipe:
    """The default recipe, but for what makes it long."""
    known = recipe.find("small")
    training = dataclasses.replace(known.training, batch_size=batch, min_steps=steps, max_steps=steps)
    training = dataclasses.replace(training, gradient_accumulation=accumulation)
    return dataclasses.replace(
        known, quantisation=dataclasses.replace(known.quantisation, enabled=False), training=training
    )


def train_share(model: Path, out: Path, batch: int, accumulation: int, steps: int, rows: int) -> None:
    """Train; write `out/rank-N`: on how many rows. The first process writes `out/losses`, too."""
    count, losses = 0, list[float]()

    def counted(model: Any, rows: Sequence[Encoded], pad: int, device: torch.device) -> torch.Tensor:
        nonlocal count
        count += len(rows)
        return answer_loss(model, rows, pad, device)

    vars(module)["answer_loss"] = counted
    train(
        ROWS[:rows], model, knobs(batch, steps, accumulation), out, threads=1, progress=lambda *at: losses.append(at[2])
    )
    (out / f"rank-{os.environ.get('RANK', '0')}").write_text(str(count))
    if losses:
        (out / "losses").write_text(json.dumps(losses))
