"""A retraining's figures, as MLflow and its report have them."""

from __future__ import annotations

from retrain.data.manifest import Manifest
from retrain.training.backends.contract import TrainingResult


def training_figures(result: TrainingResult) -> dict[str, float]:
    """Return the figures of a training by name."""
    return {
        **result.metrics,
        "loss": result.loss,
        "train_seconds": result.seconds,
        "left_out_rows": float(result.left_out),
        "left_out_share": result.left_out / max(1, result.left_out + result.rows),
        "steps": float(result.steps),
        "resumed_at": float(result.resumed_at),
    }


def filtered(listed: Manifest) -> dict[str, float]:
    """Return how many rows the dataset does without."""
    filtered = sum(listed.dropped.values())
    kept = sum(part.rows for part in listed.parts.values())
    return {"filtered_rows": float(filtered), "filtered_share": filtered / max(1, filtered + kept)}
