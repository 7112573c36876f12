"""The backend `trl`: TRL's `SFTTrainer` on one node, with the rows' tokens as the own backend and engines have them.

The chat template, tools and the answers' ends are ours (`retrain.training.encoding`), so that a prompt is the same to
both backends and to the engine; TRL gets tokens and a mask of the answers, and learns from these alone."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from retrain.training import targets
from retrain.training.backends.contract import TrainingFigures, TrainingTask
from retrain.training.batches import Encoded, step_count
from retrain.training.encoding import lessons
from retrain.training.loop.distributed import ProcessGroup
from retrain.training.loop.plan import bounded, left_out
from retrain.training.model import build
from retrain.training.prompting import load_tokenizer
from retrain.training.recipe import Training

STATE = "trainer_state.json"  # the last file of a checkpoint: without it there is half of one


def train_sft(task: TrainingTask) -> TrainingFigures:
    """Train by `SFTTrainer`; go on from its last checkpoint where there is one. Raise ValueError where there are no
    rows to learn from, or where more than the share `max_left_out` cannot be learned from."""
    group = ProcessGroup.of({**os.environ, "WORLD_SIZE": "1"}, threads=task.order.threads or None)  # TRL makes its own
    knobs = task.recipe.training
    torch.manual_seed(knobs.seed)
    tokenizer = load_tokenizer(task.model_dir)
    taught = lessons(tokenizer, task.rows, knobs.max_length, task.order.max_left_out)
    held_back = lessons(tokenizer, task.validation, knobs.max_length, 1.0).rows if task.validation else []
    checked = targets.check(task.model_dir, task.recipe.lora, task.warm_start)
    model = build(task.model_dir, task.recipe, group.device, task.warm_start, checked)
    trainer = _trainer(task, model, tokenizer, taught.rows, held_back)
    last = _last(_checkpoints(task))
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    losses = [each["loss"] for each in trainer.state.log_history if "loss" in each]
    metrics = {name: float(value) for name, value in (trainer.evaluate() if held_back else {}).items()}
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        trainer.accelerator.unwrap_model(trainer.model).save_pretrained(str(task.adapter), safe_serialization=True)
    return TrainingFigures(
        rows=len({(*row.prompt, -1, *row.completion) for row in taught.rows}),
        left_out=sum(taught.left_out.values()),
        reasons=taught.left_out,
        steps=trainer.state.max_steps,
        resumed_at=_step(last) if last else 0,
        loss=fmean(losses[-max(1, len(losses) // 10) :]) if losses else 0.0,
        metrics=metrics,
        notes=_notes(task, taught.rows, taught.left_out, checked.untouched),
    )


def _checkpoints(task: TrainingTask) -> Path:
    """Return the folder of TRL's own checkpoints, which stay on this machine; no other order's are in it."""
    return task.folder / f"trl-{task.digest[:12]}"


def _last(folder: Path) -> Path | None:
    """Return the last whole checkpoint."""
    return max((path.parent for path in folder.glob(f"checkpoint-*/{STATE}")), key=_step, default=None)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _trainer(task: TrainingTask, model: Any, tokenizer: Any, rows: list[Encoded], held_back: list[Encoded]) -> Any:
    import datasets
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    datasets.disable_progress_bars()
    knobs = task.recipe.training
    config = SFTConfig(
        output_dir=str(_checkpoints(task)),
        max_steps=_steps(task, rows, knobs),
        learning_rate=knobs.warm_learning_rate if task.warm_start else knobs.learning_rate,
        lr_scheduler_type="constant_with_warmup" if knobs.schedule == "constant" else knobs.schedule,
        warmup_steps=knobs.warmup_steps,
        weight_decay=knobs.weight_decay,
        max_grad_norm=knobs.max_grad_norm,
        max_length=knobs.max_length,
        packing=task.order.packing,
        completion_only_loss=True,
        gradient_checkpointing=bool(getattr(model, "is_gradient_checkpointing", False)),
        gradient_checkpointing_kwargs={"use_reentrant": False},
        seed=knobs.seed,
        save_steps=knobs.checkpoint_steps,
        save_total_limit=1,
        logging_steps=1,
        logging_nan_inf_filter=False,
        bf16=model.get_input_embeddings().weight.dtype == torch.bfloat16,
        use_cpu=not torch.cuda.is_available(),
        report_to=[],
        disable_tqdm=True,
        **_shared_out(knobs),
    )
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=_tokens(rows),
        eval_dataset=_tokens(held_back) if held_back else None,
        processing_class=tokenizer,
        callbacks=[_teller(task.report)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _notes(
    task: TrainingTask, rows: list[Encoded], reasons: Mapping[str, int], untouched: Mapping[str, str]
) -> list[str]:
    """Return each limit that was met, in a sentence, as our own loop does."""
    knobs = task.recipe.training
    unbounded = dataclasses.replace(knobs, min_steps=1, max_steps=10**9)
    notes = [*left_out(reasons), *bounded(knobs, _steps(task, rows, knobs), _steps(task, rows, unbounded))]
    if knobs.validation_share and not task.validation:
        notes.append(f"training.validation_share = {knobs.validation_share:g}: trl holds no rows back, no early end")
    return [*notes, *(f"{part} has no adapter: {why}" for part, why in untouched.items())]


def _steps(task: TrainingTask, rows: list[Encoded], knobs: Training) -> int:
    """Return the number of steps; packed rows are as many as it takes to hold their tokens."""
    packed = -(-sum(map(len, rows)) // knobs.max_length)
    count, batch_rows = packed if task.order.packing else len(rows), knobs.batch_size * knobs.gradient_accumulation
    return step_count(count, batch_rows, knobs.epochs, knobs.min_steps, knobs.max_steps)


def _shared_out(knobs: Training) -> dict[str, int]:
    """Return the rows of a device and its batches in a step: several devices share a step's rows, as our own loop has
    it. Raise ValueError where they cannot."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rows = knobs.batch_size * knobs.gradient_accumulation
    if rows % world:
        raise ValueError(
            f"training.batch_size = {knobs.batch_size} and training.gradient_accumulation = "
            f"{knobs.gradient_accumulation} give {rows} rows a step, expected a multiple of the {world} processes"
        )
    size = min(knobs.batch_size, rows // world)
    while rows // world % size:
        size -= 1
    return {"per_device_train_batch_size": size, "gradient_accumulation_steps": rows // world // size}


def _tokens(rows: list[Encoded]) -> Any:
    """Return the rows as TRL takes what is in tokens already."""
    from datasets import Dataset

    return Dataset.from_list(
        [
            {
                "input_ids": [*row.prompt, *row.completion],
                "completion_mask": [0] * len(row.prompt) + [1] * len(row.completion),
            }
            for row in rows
        ]
    )


def _teller(report: Callable[[int, int, float], None]) -> Any:
    """Return the callback that reports each step's loss, and ends a training whose loss is not finite."""
    import math

    from transformers import TrainerCallback

    from retrain.training.loop.learner import Diverged

    class StepTeller(TrainerCallback):  # type: ignore[misc]  # the library has no types
        """Tells of each step that TRL logs."""

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            """Report the loss of a step; raise Diverged where it is not finite."""
            if logs is None or "loss" not in logs:
                return
            loss = float(logs["loss"])
            if not math.isfinite(loss):
                raise Diverged(
                    f"step {state.global_step} of {state.max_steps}: the loss is {loss}, expected a finite number; "
                    "lower training.learning_rate and training.warm_learning_rate"
                )
            if state.is_world_process_zero:
                report(state.global_step, state.max_steps, loss)

    return StepTeller()
