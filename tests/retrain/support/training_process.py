"""A training in a process of its own, which tells each step."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

from retrain.training.train import train
from tests.retrain.support.trainings import ROWS, knobs


def train_told(model: Path, out: Path, steps: int, told: Connection) -> None:
    """Train; send each step when it is taken."""
    shown = knobs(min_steps=steps, max_steps=steps, validation_steps=3, patience=0, checkpoint_steps=4)
    train(ROWS, model, shown, out, validation=ROWS[:2], threads=1, progress=lambda *at: told.send(at[0]))
