"""The default backend: `retrain.training.train`, on a processor or on the GPUs of one machine."""

from __future__ import annotations

from pathlib import Path

from retrain.training.backends.contract import TrainingFigures, TrainingTask
from retrain.training.train import train


def train_own(task: TrainingTask) -> TrainingFigures:
    """Train by our own loop. Raise as `train` does."""
    done = train(
        task.rows,
        task.model_dir,
        task.recipe,
        task.folder,
        validation=task.validation,
        warm_start=task.warm_start,
        threads=task.order.threads or None,
        progress=task.report,
        max_left_out=task.order.max_left_out,
        digests=Path(task.order.var or task.folder) / "digests",
    )
    return TrainingFigures(
        rows=done.rows,
        left_out=done.left_out,
        reasons=done.reasons,
        steps=done.steps,
        resumed_at=done.resumed_at,
        loss=done.loss,
        metrics=done.figures(),
        notes=[*done.limits, *(f"{part} has no adapter: {why}" for part, why in done.untouched.items())],
    )
