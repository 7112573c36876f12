"""One optimiser step after the other: a model in training, with all that a step needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
import torch

from retrain.training.batches import Encoded, shares
from retrain.training.loop.checkpoint import not_finite, trainable
from retrain.training.loop.distributed import ProcessGroup
from retrain.training.loop.memory import MemoryExceeded, clear_end, ran_out
from retrain.training.loss import answer_loss
from retrain.training.recipe import Training

log = structlog.get_logger()

SMALLER = (
    "lower training.batch_size or training.max_length, set training.gradient_checkpointing = true, quantise the "
    "weights, or give the training more memory"
)


class Diverged(ValueError):
    """A loss, a gradient or a weight is not finite: the training is worth nothing, and is not stored."""


@dataclass(slots=True)
class Learner:
    """A model in training. Where memory runs out, it goes on with half the rows at once, which changes no loss."""

    model: Any
    weights: list[torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    rows: Sequence[Encoded]
    knobs: Training
    peak: float  # the learning rate after the warm-up
    pad: int
    group: ProcessGroup
    rows_at_once: int

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
        return cls(model, weights, optimizer, rows, knobs, peak, pad, group, knobs.batch_size)

    def learn(self, batch: Sequence[int], step: int, steps: int) -> float:
        """Take one optimiser step; return its loss in nats a token. Raises Diverged, MemoryExceeded."""
        batch = [*batch] * -(-self.group.count // len(batch))  # each device gets a row, and each row the same weight
        total = self._gradients(batch, step, steps)
        summed = self.group.gather(self.weights, total)
        length = torch.nn.utils.clip_grad_norm_(self.weights, self.knobs.max_grad_norm)
        _require_finite(summed, float(length), step, steps)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = self.peak * rate(self.knobs, step, steps)
        with clear_end(f"at step {step + 1} of {steps}", SMALLER):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return summed

    def measure(self, rows: Sequence[Encoded]) -> float:
        """Return the loss on the rows in nats a token, without learning from them; the same on each device.
        Raises Diverged, MemoryExceeded."""
        total, size = 0.0, self.rows_at_once
        mine = sorted(rows[self.group.rank :: self.group.count], key=len)
        self.model.eval()
        with torch.no_grad(), clear_end("at a validation loss", SMALLER):
            for start in range(0, len(mine), size):
                total += float(answer_loss(self.model, mine[start : start + size], self.pad, self.group.device))
        self.model.train()
        loss = self.group.gather((), total) / sum(len(row.completion) for row in rows)
        if not math.isfinite(loss):
            raise Diverged(f"the validation loss is {loss}, expected a finite number; lower training.learning_rate")
        return loss

    def save(self, best: Mapping[str, torch.Tensor], folder: Any) -> None:
        """Write the adapter, once for all processes; `best`: these weights of it, where there are any. Raises Diverged
        where a weight is not finite."""
        weights = trainable(self.model)
        with torch.no_grad():
            for name, weight in best.items():
                weights[name].copy_(weight)
        _require_sound(weights)
        if self.group.first:
            self.model.save_pretrained(str(folder), safe_serialization=True)

    def _gradients(self, batch: Sequence[int], step: int, steps: int) -> float:
        """Add up the gradients of this device's rows; return their part of the loss. Out of memory it does so once more
        with half the rows at once, and twice as often."""
        while True:
            torch.manual_seed(self.knobs.seed + step)  # a resumed run drops out what an unbroken one would
            try:
                return self._summed(batch)
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
                self._halve(step, steps, error)
            self.optimizer.zero_grad(set_to_none=True)  # the failed pass is let go by now
            if self.group.device.type == "cuda":
                torch.cuda.empty_cache()

    def _summed(self, batch: Sequence[int]) -> float:
        tokens, total = sum(len(self.rows[i].completion) for i in batch), 0.0
        for piece in shares(batch, self.rows_at_once, self.group.rank, self.group.count):
            loss = answer_loss(self.model, [self.rows[i] for i in piece], self.pad, self.group.device) / tokens
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def _halve(self, step: int, steps: int, error: Exception) -> None:
        """Halve the rows at once. Raises MemoryExceeded where that was done before, or there is only one."""
        at, wanted = f"at step {step + 1} of {steps}", self.knobs.batch_size
        if self.rows_at_once == 1 or self.rows_at_once < wanted:
            again = f", after {wanted}" if self.rows_at_once < wanted else ""
            why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise MemoryExceeded(
                f"out of memory {at} with {self.rows_at_once} rows at once{again} ({why}); {SMALLER}"
            ) from error
        self.rows_at_once //= 2
        log.warning("out of memory: half the rows at once, twice as often", at=at, rows_at_once=self.rows_at_once)


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
    warmup = min(knobs.warmup_steps, steps // 5)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if knobs.schedule == "constant":
        return 1.0
    return (steps - step) / max(1, steps - warmup)
