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
        notes=[text for value in known.values() for text in _texts(value)],
    )


def _texts(value: object) -> list[str]:
    """Return the sentences among a training's figures."""
    if isinstance(value, dict):
        return [f"{name}: {text}" for name, text in value.items() if isinstance(text, str)]
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
