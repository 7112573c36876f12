"""QLoRA, from top to bottom: load in 4 bits, put adapters beside it, train on the answers only, save.

The loss is computed where the answer is and nowhere else: with a vocabulary of 262,144 the logits of a prompt cost
more than the model itself (measured against `Trainer` in the benchmarks).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from retrain.batches import Encoded, schedule
from retrain.checkpoint import Checkpoint
from retrain.prompting import Messages, completion_ids, load_tokenizer, prompt_ids
from retrain.recipe import Recipe

Progress = Callable[[int, int, float], None]  # step, steps, loss in nats a token


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training gave: the adapter's folder (safetensors) and how it went."""

    folder: Path
    rows: int
    steps: int
    loss: float  # nats a token, mean of the last tenth of the steps
    seconds: float


def train(
    rows: Sequence[tuple[Messages, str]],
    model_dir: Path,
    recipe: Recipe,
    out: Path,
    *,
    warm_start: Path | None = None,
    threads: int = 0,
    progress: Progress = lambda step, steps, loss: None,
) -> Trained:
    """Trains an adapter on (messages, answer) rows and writes it to `out/adapter`.

    Deterministic for the same rows, recipe, device and thread count. Killed and called again with the same
    arguments it goes on from the last checkpoint in `out`. Raises ValueError where there is nothing to learn from."""
    if not rows:
        raise ValueError("rows: empty, expected at least one labelled row to train on")
    began = time.monotonic()
    device = _device(threads)
    torch.manual_seed(recipe.seed)
    tokenizer = load_tokenizer(model_dir)
    encoded = [encode(tokenizer, messages, answer, recipe.max_length) for messages, answer in rows]
    steps = recipe.steps(len(rows))
    batches = schedule(encoded, recipe.batch_size, steps * recipe.grad_accumulation, recipe.seed)
    model = build(model_dir, recipe, device, warm_start)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps, recipe.warmup_share))
    checkpoint = Checkpoint(out / "checkpoint", _fingerprint(recipe, encoded))
    losses = checkpoint.restore(model, optimizer, decay)
    for step in range(len(losses), steps):
        at = step * recipe.grad_accumulation
        losses.append(_step(model, encoded, batches[at : at + recipe.grad_accumulation], tokenizer.pad_token_id, device))
        torch.nn.utils.clip_grad_norm_(weights, recipe.max_grad_norm)
        optimizer.step()
        decay.step()
        optimizer.zero_grad(set_to_none=True)
        progress(step + 1, steps, losses[-1])
        if (step + 1) % recipe.checkpoint_every == 0 and step + 1 < steps:
            checkpoint.save(model, optimizer, losses)
    folder = out / "adapter"
    model.save_pretrained(str(folder), safe_serialization=True)
    tail = losses[-max(1, steps // 10) :]
    return Trained(folder, len(rows), steps, sum(tail) / len(tail), time.monotonic() - began)


def encode(tokenizer: Any, messages: Messages, answer: str, max_length: int) -> Encoded:
    """Token ids; a prompt too long loses its beginning, an answer too long its end."""
    completion = completion_ids(tokenizer, answer)[-max_length // 2 :]
    prompt = prompt_ids(tokenizer, messages)
    room = max_length - len(completion)
    return Encoded(prompt if len(prompt) <= room else [prompt[0], *prompt[-(room - 1) :]], completion)


def build(model_dir: Path, recipe: Recipe, device: torch.device, warm_start: Path | None) -> Any:
    """The base model in NF4 with double quantisation, and trainable adapters: new ones, or a copy of `warm_start`."""
    from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    compute = torch.bfloat16 if device.type == "cuda" else torch.float32
    quantised = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )
    base = AutoModelForCausalLM.from_pretrained(
        str(model_dir), quantization_config=quantised, dtype=compute, device_map={"": str(device)}
    )
    base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=device.type == "cuda")
    if warm_start is not None:
        return PeftModel.from_pretrained(base, str(warm_start), is_trainable=True).train()
    modules = recipe.target_modules if recipe.target_modules == "all-linear" else recipe.target_modules.split(",")
    config = LoraConfig(
        r=recipe.r,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=modules,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, config).train()


def batch_loss(model: Any, rows: Sequence[Encoded], pad: int, device: torch.device) -> torch.Tensor:
    """Mean loss over the answers' tokens, in nats. Rows are padded on the left, so that all answers end together
    and logits are asked for at the last positions only."""
    width = max(map(len, rows))
    keep = max(len(row.completion) for row in rows) + 1
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    labels = torch.full((len(rows), keep - 1), -100, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :] = torch.tensor(row.prompt + row.completion)
        mask[i, width - len(row) :] = 1
        labels[i, keep - 1 - len(row.completion) :] = torch.tensor(row.completion)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    out = model(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        position_ids=positions.to(device),
        logits_to_keep=keep,
        use_cache=False,
    )
    logits = out.logits[:, :-1].float()
    return functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.to(device).reshape(-1), ignore_index=-100)


def _step(model: Any, rows: Sequence[Encoded], batches: Sequence[list[int]], pad: int, device: torch.device) -> float:
    total = 0.0
    for batch in batches:
        loss = batch_loss(model, [rows[i] for i in batch], pad, device) / len(batches)
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    return total


def _rate(step: int, steps: int, warmup_share: float) -> float:
    warmup = max(1, round(steps * warmup_share))
    return (step + 1) / warmup if step < warmup else max(0.0, (steps - step) / max(1, steps - warmup))


def _device(threads: int) -> torch.device:
    if threads:
        torch.set_num_threads(threads)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _fingerprint(recipe: Recipe, rows: Sequence[Encoded]) -> str:
    """What a checkpoint must have been made from to be taken up again."""
    import hashlib

    content = json.dumps([asdict(recipe), [[row.prompt, row.completion] for row in rows]], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def log_progress(path: Path) -> Progress:
    """Appends one JSON line a step to `path`, for whoever watches."""

    def write(step: int, steps: int, loss: float) -> None:
        with path.open("a") as file:
            file.write(json.dumps({"step": step, "steps": steps, "loss": round(loss, 5), "pid": os.getpid()}) + "\n")

    return write
