"""The plan of a training: rows in tokens, the batches of all steps, the rows to measure on, and the limits met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from retrain.data.example import Lesson
from retrain.training.batches import Encoded, schedule, step_count
from retrain.training.encoding import lessons
from retrain.training.loop.course import held_back
from retrain.training.prompting import Messages
from retrain.training.recipe import Training

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is decided before a weight is loaded."""

    rows: Sequence[Encoded]
    validation: Sequence[Encoded]  # rows that the loss is measured on, and that are not learned
    batches: Sequence[Sequence[int]]  # of each step, indices of rows
    left_out: dict[str, int]  # why -> how many of the different rows
    limits: list[str]  # each limit that was met, in a sentence

    @classmethod
    def of(
        cls,
        tokenizer: Any,
        rows: Sequence[Lesson | tuple[Messages, str]],
        validation: Sequence[Lesson | tuple[Messages, str]],
        knobs: Training,
        max_left_out: float,
    ) -> Plan:
        """Make the plan. Raises ValueError where there are too few rows (`encoding.lessons`)."""
        taught = lessons(tokenizer, rows, knobs.max_length, max_left_out)
        if validation:
            held = lessons(tokenizer, validation, knobs.max_length, 1.0)
            kept, measured, unmeasured = taught.rows, held.rows, held.left_out
        else:
            kept, measured = held_back(taught.rows, knobs.validation_share)
            unmeasured = {}
        batch_rows = knobs.batch_size * knobs.gradient_accumulation
        wanted = step_count(len(kept), batch_rows, knobs.epochs, 1, 10**9)
        steps = step_count(len(kept), batch_rows, knobs.epochs, knobs.min_steps, knobs.max_steps)
        limits = left_out(taught.left_out)
        limits += [f"{count} validation rows left out: {why}" for why, count in unmeasured.items()]
        limits += bounded(knobs, steps, wanted)
        if knobs.validation_share and not measured:
            limits.append(
                f"training.validation_share = {knobs.validation_share:g} of so few rows is none: no early end"
            )
        for each in limits:
            log.info("limit met", limit=each)
        batches = schedule([len(row) for row in kept], batch_rows, steps, knobs.seed)
        return cls(kept, measured, batches, taught.left_out, limits)


def left_out(reasons: Mapping[str, int]) -> list[str]:
    """Return how many rows were left out, in a sentence for each reason."""
    return [f"{count} rows left out: {why}" for why, count in reasons.items()]


def bounded(knobs: Training, steps: int, wanted: int) -> list[str]:
    """Return the sentence for a number of steps that the recipe bounds; none where it does not."""
    knob = "max_steps" if steps < wanted else "min_steps"
    sentence = f"training.{knob} = {steps}: training.epochs = {knobs.epochs:g} would take {wanted} steps"
    return [] if steps == wanted else [sentence]
