"""One process among several that train together:
`python -m tests.retrain.support.rank_process MODEL OUT BATCH ACCUMULATION STEPS ROWS`.

Writes `OUT/rank-N`: how many rows it trained on; the first process writes `OUT/losses`, too."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
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


def main() -> None:
    model, out = Path(sys.argv[1]), Path(sys.argv[2])
    batch, accumulation, steps, rows = map(int, sys.argv[3:])
    count, losses = 0, list[float]()

    def counted(model: Any, rows: Sequence[Encoded], pad: int, device: torch.device) -> torch.Tensor:
        nonlocal count
        count += len(rows)
        return answer_loss(model, rows, pad, device)

    vars(module)["answer_loss"] = counted
    recipe = knobs(batch, steps, accumulation)
    train(ROWS[:rows], model, recipe, out, threads=1, progress=lambda *at: losses.append(at[2]))
    (out / f"rank-{os.environ.get('RANK', '0')}").write_text(str(count))
    if losses:
        (out / "losses").write_text(json.dumps(losses))


if __name__ == "__main__":
    main()
