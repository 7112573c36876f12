"""The default backend: `retrain.training.train`, on a processor or on the GPUs of one machine."""

from __future__ import annotations

from dataclasses import asdict

from retrain.training.backends.contract import TrainingFigures, TrainingTask
from retrain.training.train import train


def train_own(task: TrainingTask) -> TrainingFigures:
    """Train by our own loop. Raise as `train` does."""
    done = train(
        task.rows,
        task.model_dir,
        task.recipe,
        task.folder,
        warm_start=task.warm_start,
        threads=task.order.threads or None,
        progress=task.report,
        max_left_out=task.order.max_left_out,
    )
    known = asdict(done)
    common = {name: known.pop(name) for name in ("rows", "left_out", "reasons", "steps", "resumed_at", "loss")}
    known.pop("seconds")
    return TrainingFigures(
        **common,
        metrics={name: float(value) for name, value in known.items() if isinstance(value, int | float)},
    )
