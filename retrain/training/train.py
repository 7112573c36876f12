"""QLoRA, from top to bottom: load in 4 bits, put adapters beside it, train on the answers only, save."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog
import torch

from retrain.training.batches import Encoded, schedule, shares, step_count
from retrain.training.checkpoint import Checkpoint, not_finite, trainable
from retrain.training.distributed import Workers
from retrain.training.loss import answer_loss
from retrain.training.model import build
from retrain.training.prompting import Messages, answer_ids, load_tokenizer, render, token_ids
from retrain.training.recipe import Recipe, Training
from retrain.training.teachable import objection

log = structlog.get_logger()

MAX_LEFT_OUT = 0.5  # share of the rows that a training may do without
TOO_LONG = "longer than the recipe's training.max_length"

Progress = Callable[[int, int, float], None]  # step, steps, loss in nats a token


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training gave: the adapter's folder (safetensors) and how it went."""

    folder: Path
    rows: int  # different ones
    left_out: int  # of the different rows given: longer than the recipe's max_length, or not for the chat template
    reasons: dict[str, int]  # why -> how many of them
    steps: int
    resumed_at: int  # steps that an earlier, killed run had done
    loss: float  # nats a token, mean of the last tenth of the steps
    seconds: float


class Diverged(ValueError):
    """A loss, a gradient or a weight is no finite number: what was trained is worth nothing, and is not stored."""


def silent(step: int, steps: int, loss: float) -> None:
    """Tells nobody."""


def train(
    rows: Sequence[tuple[Messages, str]],
    model_dir: Path,
    recipe: Recipe,
    out: Path,
    *,
    warm_start: Path | None = None,
    threads: int | None = None,
    device: str | None = None,
    progress: Progress = silent,
    max_left_out: float = MAX_LEFT_OUT,
) -> Trained:
    """Trains an adapter on (messages, answer) rows and writes it to `out/adapter`.

    Deterministic for the same rows, recipe, device and threads. Killed and called again with the same arguments it
    goes on from the last checkpoint in `out`. Under `torchrun` each step's rows are shared among the devices.
    Raises ValueError where there is nothing to learn from, or more than the share `max_left_out` cannot be learned
    from; Diverged at the first loss or gradient that is no number; OSError where the model cannot be read."""
    began = time.monotonic()
    knobs = recipe.training
    peak = knobs.learning_rate if warm_start is None else knobs.warm_learning_rate
    workers = Workers.of(os.environ, device, threads)
    torch.manual_seed(knobs.seed)
    tokenizer = load_tokenizer(model_dir)
    taught = lessons(tokenizer, rows, knobs.max_length, max_left_out)
    encoded = taught.rows
    if taught.left_out:
        log.warning("rows left out of the training", rows=sum(taught.left_out.values()), why=taught.left_out)
    batch_rows = knobs.batch_size * knobs.gradient_accumulation
    _require_rows(knobs, min(batch_rows, len(encoded)), workers.count)
    steps = step_count(len(encoded), batch_rows, knobs.epochs, knobs.min_steps, knobs.max_steps)
    batches = schedule([len(row) for row in encoded], batch_rows, steps, knobs.seed)
    model = build(model_dir, recipe, workers.device, warm_start)
    pad = _padding(tokenizer, encoded, model.get_input_embeddings().weight.shape[0])
    weights = list(trainable(model).values())
    optimizer = torch.optim.AdamW(weights, lr=peak, weight_decay=knobs.weight_decay)
    checkpoint = Checkpoint(out / "checkpoint.safetensors", _fingerprint(recipe, encoded, model_dir, warm_start))
    losses = checkpoint.restore(model, optimizer)
    resumed_at = len(losses)
    for step in range(resumed_at, steps):
        torch.manual_seed(knobs.seed + step)  # a resumed run drops out what an unbroken one would
        batch = batches[step]
        tokens = sum(len(encoded[i].completion) for i in batch)
        total = 0.0
        for piece in shares(batch, knobs.batch_size, workers.rank, workers.count):
            loss = answer_loss(model, [encoded[i] for i in piece], pad, workers.device) / tokens
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        losses.append(workers.gather(weights, total))
        length = torch.nn.utils.clip_grad_norm_(weights, knobs.max_grad_norm)
        _require_finite(losses[-1], float(length), step, steps)
        for group in optimizer.param_groups:
            group["lr"] = peak * rate(knobs, step, steps)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if workers.first:
            progress(step + 1, steps, losses[-1])
        if workers.first and (step + 1) % knobs.checkpoint_steps == 0:
            checkpoint.save(model, optimizer, losses)
    _require_sound(trainable(model))
    if workers.first:
        model.save_pretrained(str(out / "adapter"), safe_serialization=True)
    workers.finish()
    tail = losses[-max(1, steps // 10) :]
    return Trained(
        folder=out / "adapter",
        rows=len({(*row.prompt, -1, *row.completion) for row in encoded}),
        left_out=sum(taught.left_out.values()),
        reasons=taught.left_out,
        steps=steps,
        resumed_at=resumed_at,
        loss=sum(tail) / len(tail),
        seconds=time.monotonic() - began,
    )


def _require_rows(knobs: Training, rows: int, devices: int) -> None:
    """A device without rows would hold the model and do nothing."""
    if rows < devices:
        raise ValueError(
            f"training.batch_size = {knobs.batch_size} and training.gradient_accumulation = "
            f"{knobs.gradient_accumulation} give {rows} rows a step for {devices} devices, expected a row for each: "
            "raise them, give more rows, or start fewer processes"
        )


def _padding(tokenizer: Any, rows: Sequence[Encoded], known: int) -> int:
    """What fills rows up: any token that the model's embeddings have, for nobody looks at it. Raises ValueError where
    rows need one that they lack."""
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
                "training.learning_rate and training.warm_learning_rate, or look for numbers that are none in the "
                "base model and in the adapter that it began from"
            )


def _require_sound(weights: Mapping[str, torch.Tensor]) -> None:
    broken = not_finite(weights)
    if broken:
        raise Diverged(
            f"{len(broken)} of {len(weights)} trained tensors hold numbers that are none, {broken[0]} first: nothing "
            "is stored; lower training.learning_rate"
        )


@dataclass(frozen=True, slots=True)
class Lessons:
    """Rows in tokens, and what was left out of them: why -> different rows."""

    rows: list[Encoded]
    left_out: dict[str, int]


def lessons(
    tokenizer: Any, rows: Sequence[tuple[Messages, str]], max_length: int, max_left_out: float = MAX_LEFT_OUT
) -> Lessons:
    """Rows in tokens, without those that the chat template does not take and those longer than `max_length`. Raises
    ValueError where none is left, or where more than the share `max_left_out` is gone."""
    known: dict[str, Encoded | str] = {}
    keys = [json.dumps([list(map(dict, messages)), answer]) for messages, answer in rows]
    for key, (messages, answer) in zip(keys, rows, strict=True):
        if key not in known:
            known[key] = _lesson(tokenizer, messages, answer, max_length)
    left_out = Counter(each for each in known.values() if isinstance(each, str))
    if (left_out and left_out.total() > max_left_out * len(known)) or left_out.total() == len(known):
        raise ValueError(_too_few(len(known), max_length, left_out, max_left_out))
    found = [known[key] for key in keys]
    return Lessons([each for each in found if isinstance(each, Encoded)], dict(left_out))


def encode(tokenizer: Any, rows: Sequence[tuple[Messages, str]], max_length: int) -> list[Encoded]:
    """As `lessons`, however many are left out, as long as there is one."""
    return lessons(tokenizer, rows, max_length, max_left_out=1.0).rows


def _lesson(tokenizer: Any, messages: Messages, answer: str, max_length: int) -> Encoded | str:
    """The row in tokens, or why it is left out."""
    if why := objection(tokenizer, messages, answer):
        return why
    row = Encoded(token_ids(tokenizer, render(tokenizer, messages)), answer_ids(tokenizer, messages, answer))
    return row if len(row) <= max_length else TOO_LONG


def _too_few(rows: int, max_length: int, left_out: Mapping[str, int], share: float) -> str:
    why = "; ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
    if sum(left_out.values()) == rows:
        told = f"rows: {rows}, none of at most {max_length} tokens that the chat template takes"
    else:
        told = f"rows: {sum(left_out.values())} of {rows} left out, at most {share:.0%} may be (retrain.max_left_out)"
    return f"{told}{f' ({why})' if why else ''}; expected labelled rows, or raise training.max_length ({max_length})"


def rate(knobs: Training, step: int, steps: int) -> float:
    """The share of the learning rate at a step: rises over the warm-up, then falls to zero (or stays)."""
    if step < knobs.warmup_steps:
        return (step + 1) / (knobs.warmup_steps + 1)
    if knobs.schedule == "constant":
        return 1.0
    return (steps - step) / max(1, steps - knobs.warmup_steps)


def _fingerprint(recipe: Recipe, rows: Sequence[Encoded], model_dir: Path, warm_start: Path | None) -> str:
    """What a checkpoint must have been made from to be taken up again."""
    content = [asdict(recipe), [[row.prompt, row.completion] for row in rows], str(model_dir), str(warm_start)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
