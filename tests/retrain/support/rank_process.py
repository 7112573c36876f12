"""One process among several that train together: `python -m tests.retrain.support.rank_process MODEL OUT BATCH STEPS`.

Writes `OUT/rank-N`: how many rows it trained on."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from retrain.training import recipe
from retrain.training import train as module
from retrain.training.batches import Encoded
from retrain.training.loss import answer_loss

ROWS = [([{"role": "user", "content": f"say {word}"}], word) for word in ("red", "blue", "green", "pink")] * 4


def knobs(batch: int, steps: int) -> recipe.Recipe:
    """The default recipe, but for what makes it long."""
    known = recipe.find("qlora")
    training = dataclasses.replace(known.training, batch_size=batch, min_steps=steps, max_steps=steps)
    return dataclasses.replace(
        known, quantisation=dataclasses.replace(known.quantisation, enabled=False), training=training
    )


def main() -> None:
    model, out, batch, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    count = 0

    def counted(model: Any, rows: Sequence[Encoded], pad: int, device: torch.device) -> torch.Tensor:
        nonlocal count
        count += len(rows)
        return answer_loss(model, rows, pad, device)

    vars(module)["answer_loss"] = counted
    module.train(ROWS, model, knobs(batch, steps), out, threads=1)
    (out / f"rank-{os.environ.get('RANK', '0')}").write_text(str(count))


if __name__ == "__main__":
    main()
