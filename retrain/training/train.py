"""QLoRA, from top to bottom: load in 4 bits, put adapters on it, train on the answers only, save."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import structlog
import torch

from retrain.data.example import Lesson
from retrain.training.batches import Encoded, schedule, shares, step_count
from retrain.training.checkpoint import Checkpoint, not_finite, trainable
from retrain.training.distributed import ProcessGroup
from retrain.training.encoding import MAX_LEFT_OUT, lessons
from retrain.training.loss import answer_loss
from retrain.training.model import build
from retrain.training.prompting import Messages, load_tokenizer
from retrain.training.recipe import Recipe, Training

log = structlog.get_logger()

OnStep = Callable[[int, int, float], None]  # step, steps, loss in nats a token


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of a training: the adapter's folder (safetensors) and its figures."""

    folder: Path
    rows: int  # different ones
    left_out: int  # of the different rows given: longer than the recipe's max_length, or not for the chat template
    reasons: dict[str, int]  # why -> how many of them
    steps: int
    resumed_at: int  # steps that an earlier, killed run had done
    loss: float  # nats a token, mean of the last tenth of the steps
    seconds: float


class Diverged(ValueError):
    """A loss, a gradient or a weight is not finite: the training is worth nothing, and is not stored."""


def silent(step: int, steps: int, loss: float) -> None:
    """Report nothing."""


def train(
    rows: Sequence[Lesson | tuple[Messages, str]],
    model_dir: Path,
    recipe: Recipe,
    out: Path,
    *,
    warm_start: Path | None = None,
    threads: int | None = None,
    device: str | None = None,
    progress: OnStep = silent,
    max_left_out: float = MAX_LEFT_OUT,
) -> Trained:
    """Train an adapter on (messages, answer) rows and write it to `out/adapter`.

    Deterministic for the same rows, recipe, device and threads. Killed and called again with the same arguments it
    goes on from the last checkpoint in `out`. Under `torchrun` each step's rows are shared among the devices.
    Raises ValueError where there are no rows to learn from, or where more than the share `max_left_out` cannot be
    learned from; Diverged at the first loss or gradient that is not finite; OSError where the model cannot be read."""
    began = time.monotonic()
    knobs = recipe.training
    group = ProcessGroup.of(os.environ, device, threads)
    torch.manual_seed(knobs.seed)
    tokenizer = load_tokenizer(model_dir)
    taught = lessons(tokenizer, rows, knobs.max_length, max_left_out)
    if taught.left_out:
        log.warning("rows left out of the training", rows=sum(taught.left_out.values()), why=taught.left_out)
    batches = _planned(knobs, taught.rows, group.count)
    model = build(model_dir, recipe, group.device, warm_start)
    learner = Learner.of(model, tokenizer, taught.rows, knobs, group, warm=warm_start is not None)
    checkpoint = Checkpoint(out / "checkpoint.safetensors", _fingerprint(recipe, taught.rows, model_dir, warm_start))
    losses = checkpoint.restore(model, learner.optimizer)
    resumed_at, steps = len(losses), len(batches)
    for step in range(resumed_at, steps):
        losses.append(learner.learn(batches[step], step, steps))
        if group.first:
            progress(step + 1, steps, losses[-1])
        if group.first and (step + 1) % knobs.checkpoint_steps == 0:
            checkpoint.save(model, learner.optimizer, losses)
    learner.save(out / "adapter")
    group.finish()
    return Trained(
        folder=out / "adapter",
        rows=len({(*row.prompt, -1, *row.completion) for row in taught.rows}),
        left_out=sum(taught.left_out.values()),
        reasons=taught.left_out,
        steps=steps,
        resumed_at=resumed_at,
        loss=fmean(losses[-max(1, steps // 10) :]),
        seconds=time.monotonic() - began,
    )


@dataclass(frozen=True, slots=True)
class Learner:
    """A model in training, with all that one optimiser step needs."""

    model: Any
    weights: list[torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    rows: Sequence[Encoded]
    knobs: Training
    peak: float  # the learning rate after the warm-up
    pad: int
    group: ProcessGroup

    @classmethod
    def of(
        cls, model: Any, tokenizer: Any, rows: Sequence[Encoded], knobs: Training, group: ProcessGroup, *, warm: bool
    ) -> Learner:
        """Return the model's learner. `warm`: its adapter was trained before. Raises ValueError where the rows hold a
        token that the model lacks."""
        pad = _padding(tokenizer, rows, model.get_input_embeddings().weight.shape[0])
        peak = knobs.warm_learning_rate if warm else knobs.learning_rate
        weights = list(trainable(model).values())
        optimizer = torch.optim.AdamW(weights, lr=peak, weight_decay=knobs.weight_decay)
        return cls(model, weights, optimizer, rows, knobs, peak, pad, group)

    def learn(self, batch: Sequence[int], step: int, steps: int) -> float:
        """Take one optimiser step; return its loss in nats a token. Raises Diverged."""
        torch.manual_seed(self.knobs.seed + step)  # a resumed run drops out what an unbroken one would
        tokens = sum(len(self.rows[i].completion) for i in batch)
        total = 0.0
        for piece in shares(batch, self.knobs.batch_size, self.group.rank, self.group.count):
            loss = answer_loss(self.model, [self.rows[i] for i in piece], self.pad, self.group.device) / tokens
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        summed = self.group.gather(self.weights, total)
        length = torch.nn.utils.clip_grad_norm_(self.weights, self.knobs.max_grad_norm)
        _require_finite(summed, float(length), step, steps)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = self.peak * rate(self.knobs, step, steps)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return summed

    def save(self, folder: Path) -> None:
        """Write the adapter, once for all processes. Raises Diverged where a weight is not finite."""
        _require_sound(trainable(self.model))
        if self.group.first:
            self.model.save_pretrained(str(folder), safe_serialization=True)


def _planned(knobs: Training, rows: Sequence[Encoded], devices: int) -> list[list[int]]:
    """Return the batches of all steps. Raises ValueError where a step has fewer rows than there are devices."""
    batch_rows = knobs.batch_size * knobs.gradient_accumulation
    _require_rows(knobs, min(batch_rows, len(rows)), devices)
    steps = step_count(len(rows), batch_rows, knobs.epochs, knobs.min_steps, knobs.max_steps)
    return schedule([len(row) for row in rows], batch_rows, steps, knobs.seed)


def _require_rows(knobs: Training, rows: int, devices: int) -> None:
    """Raise ValueError where a device would hold the model and have no rows."""
    if rows < devices:
        raise ValueError(
            f"training.batch_size = {knobs.batch_size} and training.gradient_accumulation = "
            f"{knobs.gradient_accumulation} give {rows} rows a step for {devices} devices, expected a row for each: "
            "raise them, give more rows, or start fewer processes"
        )


def _padding(tokenizer: Any, rows: Sequence[Encoded], known: int) -> int:
    """Return the token that fills rows up: any that the model's embeddings have, for the mask hides it. Raises
    ValueError where rows hold a token that the embeddings lack."""
    if beyond := {token for row in rows for token in (*row.prompt, *row.completion) if token >= known}:
        names = ", ".join(map(repr, tokenizer.convert_ids_to_tokens(sorted(beyond)[:5])))
        raise ValueError(
            f"the tokenizer makes tokens that the model's {known} embeddings lack ({names}): tokenizer and weights are "
            "of different models, or tokens were added and the model was not resized"
        )
    return int(tokenizer.pad_token_id) if tokenizer.pad_token_id < known else int(tokenizer.eos_token_id)


def _require_finite(loss: float, gradient: float, step: int, steps: int) -> None:
    for name, value in (("loss", loss), ("gradient's length", gradient)):
        if not math.isfinite(value):
            raise Diverged(
                f"step {step + 1} of {steps}: the {name} is {value}, expected a finite number; lower "
                "training.learning_rate and training.warm_learning_rate, or look for numbers that are not finite in "
                "the base model and in the adapter that it began from"
            )


def _require_sound(weights: Mapping[str, torch.Tensor]) -> None:
    broken = not_finite(weights)
    if broken:
        raise Diverged(
            f"{len(broken)} of {len(weights)} trained tensors hold numbers that are not finite, {broken[0]} first: "
            "nothing is stored; lower training.learning_rate"
        )


def rate(knobs: Training, step: int, steps: int) -> float:
    """Return the share of the learning rate at a step: it rises over the warm-up, then falls to zero (or stays)."""
    if step < knobs.warmup_steps:
        return (step + 1) / (knobs.warmup_steps + 1)
    if knobs.schedule == "constant":
        return 1.0
    return (steps - step) / max(1, steps - knobs.warmup_steps)


def _fingerprint(recipe: Recipe, rows: Sequence[Encoded], model_dir: Path, warm_start: Path | None) -> str:
    """Return a digest of all that a checkpoint depends on. An adapter's folder is named by its content, and lies
    elsewhere on another machine."""
    began_from = warm_start.name if warm_start else ""
    content = [asdict(recipe), [[row.prompt, row.completion] for row in rows], str(model_dir), began_from]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
