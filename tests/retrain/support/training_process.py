"""A training as a process: `python -m tests.retrain.support.training_process MODEL OUT STEPS`. Prints each step."""

from __future__ import annotations

import sys
from pathlib import Path

from retrain.training.train import train
from tests.retrain.support.trainings import ROWS, knobs


def main() -> None:
    model, out, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    shown = knobs(min_steps=steps, max_steps=steps, validation_steps=3, patience=0, checkpoint_steps=4)
    train(ROWS, model, shown, out, validation=ROWS[:2], threads=1, progress=lambda *at: print(at[0], flush=True))


if __name__ == "__main__":
    main()
