"""Trainings that take a second, of the test's own model."""

from __future__ import annotations

import dataclasses
from typing import Any

from retrain.training import recipe

ROWS = [([{"role": "user", "content": f"say {word}"}], word) for word in ("red", "blue", "green", "pink")] * 4


def knobs(*, quantised: bool = False, **training: Any) -> recipe.Recipe:
    """The default recipe, but for what makes it long."""
    known = recipe.find("small")
    given = {"min_steps": 12, "max_steps": 12, "batch_size": 4, "checkpoint_steps": 5, "learning_rate": 1e-2}
    return dataclasses.replace(
        known,
        quantisation=dataclasses.replace(known.quantisation, enabled=quantised),
        training=dataclasses.replace(known.training, **{**given, **training}),
    )
