"""QLoRA, from top to bottom: load in 4 bits, put adapters on it, train on the answers only, save."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import structlog
import torch

from retrain.base_model import base_model_id, check_model, weight_files
from retrain.data.example import Lesson
from retrain.training import targets
from retrain.training.encoding import MAX_LEFT_OUT
from retrain.training.loop.checkpoint import Checkpoint, trainable
from retrain.training.loop.course import Course, due
from retrain.training.loop.distributed import ProcessGroup
from retrain.training.loop.estimate import TrainingEstimate, estimate, mapped_bytes, speed
from retrain.training.loop.learner import SMALLER, Learner
from retrain.training.loop.memory import GIB, MemoryExceeded, clear_end, free_bytes, own_bytes, peak_bytes
from retrain.training.loop.plan import Plan
from retrain.training.model import build, compute_dtype
from retrain.training.prompting import Messages, load_tokenizer
from retrain.training.recipe import Recipe
from retrain.training.targets import Targets

log = structlog.get_logger()

OnStep = Callable[[int, int, float], None]  # step, steps, loss in nats a token


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The result of a training: the adapter's folder (safetensors), its figures, and the limits that it met."""

    folder: Path
    rows: int  # different ones
    left_out: int  # of the different rows given: longer than the recipe's max_length, or not for the chat template
    reasons: dict[str, int]  # why -> how many of them
    steps: int  # that were done
    resumed_at: int  # steps that an earlier, killed run had done
    loss: float  # nats a token, mean of the last tenth of the steps
    validation: list[tuple[int, float]]  # steps done -> loss on the rows held back, in nats a token; [] without such
    best_step: int  # whose adapter it is, where there are validation losses; else 0
    tokens: int  # of prompts and answers, in all steps; each row as often as it was seen
    answer_tokens: int  # of these, the ones that were learned
    seconds: float
    step_seconds: float  # of one step, validation and checkpoints included
    peak_bytes: int  # of the device; on a CPU of this process
    estimate: TrainingEstimate  # made before a weight was loaded
    untouched: dict[str, str]  # parts of the model without an adapter -> their size, and why
    limits: list[str]  # each limit that was met, in a sentence

    def figures(self) -> dict[str, float]:
        """Return all that is a number, by the names that MLflow and a job's outcome have."""
        found = {
            "loss": self.loss,
            "train_seconds": self.seconds,
            "learned_rows": float(self.rows),
            "left_out_rows": float(self.left_out),
            "left_out_share": self.left_out / max(1, self.left_out + self.rows),
            "steps": float(self.steps),
            "resumed_at": float(self.resumed_at),
            "train_tokens": float(self.tokens),
            "answer_tokens": float(self.answer_tokens),
            "step_seconds": self.step_seconds,
            "estimated_step_seconds": self.estimate.seconds / self.estimate.steps,
            "peak_bytes": float(self.peak_bytes),
            "estimated_peak_bytes": float(self.estimate.peak_bytes),
        }
        best = dict(self.validation).get(self.best_step)
        return found if best is None else {**found, "validation_loss": best, "best_step": float(self.best_step)}


def silent(step: int, steps: int, loss: float) -> None:
    """Report nothing."""


def train(
    rows: Sequence[Lesson | tuple[Messages, str]],
    model_dir: Path,
    recipe: Recipe,
    out: Path,
    *,
    validation: Sequence[Lesson | tuple[Messages, str]] = (),
    warm_start: Path | None = None,
    threads: int | None = None,
    device: str | None = None,
    progress: OnStep = silent,
    max_left_out: float = MAX_LEFT_OUT,
    digests: Path | None = None,
) -> Trained:
    """Train an adapter on (messages, answer) rows and write it to `out/adapter`.

    The adapter is the one with the lowest loss on the `validation` rows; without such rows the recipe's share of `rows`
    is held back for them, and where that is none either, it is the last one. Deterministic for the same rows, recipe,
    device and threads. Killed and called again with the same arguments it goes on from the last checkpoint in `out`,
    wherever model and warm start lie; `digests`: a folder where the digests of the model's files are kept.
    Under `torchrun` each step's rows are shared among the devices. Raises ValueError where there are no rows to learn
    from, or where more than the share `max_left_out` cannot be learned from; Diverged at the first loss or gradient
    that is not finite; MemoryExceeded; OSError or ValueError where the model cannot be read."""
    began = time.monotonic()
    check_model(model_dir)
    knobs, group = recipe.training, ProcessGroup.of(os.environ, device, threads)
    tokenizer = load_tokenizer(model_dir)
    plan = Plan.of(tokenizer, rows, validation, knobs, max_left_out)
    checked = targets.check(model_dir, recipe.lora, warm_start)
    expected = _expected(model_dir, checked, recipe, plan, group)
    torch.manual_seed(knobs.seed)
    with clear_end(f"loading {model_dir}", SMALLER):
        model = build(model_dir, recipe, group.device, warm_start, checked)
    learner = Learner.of(model, tokenizer, plan.rows, knobs, group, warm=warm_start is not None)
    checkpoint = Checkpoint(
        out / "checkpoint.safetensors", _fingerprint(recipe, plan, base_model_id(model_dir, digests), warm_start)
    )
    course = checkpoint.restore(model, learner.optimizer)
    learner.rows_at_once = course.rows_at_once or learner.rows_at_once
    resumed_at, started = len(course.losses), time.monotonic()
    _follow(plan, learner, course, checkpoint, progress)
    learner.save(course.best, out / "adapter")
    group.finish()
    step_s = (time.monotonic() - started) / max(1, len(course.losses) - resumed_at)
    times = {"resumed_at": resumed_at, "seconds": time.monotonic() - began, "step_seconds": step_s}
    return _trained(out / "adapter", plan, learner, course, **times, estimate=expected, untouched=checked.untouched)


def _trained(folder: Path, plan: Plan, learner: Learner, course: Course, **known: Any) -> Trained:
    """Return the result with the figures that plan and course have."""
    done = len(course.losses)
    seen = [plan.rows[i] for batch in plan.batches[:done] for i in batch]
    return Trained(
        folder=folder,
        rows=len({(*row.prompt, -1, *row.completion) for row in plan.rows}),
        left_out=sum(plan.left_out.values()),
        reasons=plan.left_out,
        steps=done,
        loss=fmean(course.losses[-max(1, done // 10) :]),
        validation=course.validation,
        best_step=course.best_step,
        tokens=sum(map(len, seen)),
        answer_tokens=sum(len(row.completion) for row in seen),
        peak_bytes=peak_bytes(learner.group.device),
        limits=[*plan.limits, *_met(plan, learner, course)],
        **known,
    )


def _follow(plan: Plan, learner: Learner, course: Course, checkpoint: Checkpoint, progress: OnStep) -> None:
    """Take the plan's steps from where the course is, until the last one or until the validation loss ends it."""
    knobs, first, steps = learner.knobs, learner.group.first, len(plan.batches)
    while (step := len(course.losses)) < steps and not course.over(knobs):
        course.losses.append(learner.learn(plan.batches[step], step, steps))
        course.rows_at_once = learner.rows_at_once
        if plan.validation and due(knobs, step + 1, steps):
            course.judged(learner.measure(plan.validation), trainable(learner.model))
        if first:
            progress(step + 1, steps, course.losses[-1])
        if first and (step + 1) % knobs.checkpoint_steps == 0:
            checkpoint.save(learner.model, learner.optimizer, course)


def _expected(model_dir: Path, checked: Targets, recipe: Recipe, plan: Plan, group: ProcessGroup) -> TrainingEstimate:
    """Return the estimate for this device, and log it. Raises MemoryExceeded where the weights alone are too many."""
    dtype = compute_dtype(recipe.quantisation, group.device)
    found = estimate(
        checked.sizes,
        checked.layers,
        recipe,
        plan.rows,
        plan.batches,
        group.count,
        dtype.itemsize,
        speed(group.device, dtype),
    )
    free, own = free_bytes(group.device), 0
    if group.device.type == "cpu":
        files = sum(path.stat().st_size for path in weight_files(model_dir))
        own = own_bytes() + mapped_bytes(checked.sizes, recipe.quantisation.enabled, dtype.itemsize, files)
        found = replace(found, peak_bytes=found.peak_bytes + own)
    about = {"peak_gib": found.peak_bytes / GIB, "free_gib": free / GIB, "minutes": found.seconds / 60}
    log.info("training estimated", steps=found.steps, **{name: round(value, 2) for name, value in about.items()})
    if found.weights_bytes > free:
        raise MemoryExceeded(
            f"the model's weights and the optimiser take {found.weights_bytes / GIB:.1f} GiB, {group.device} has "
            f"{free / GIB:.1f} GiB left; {SMALLER}"
        )
    if found.peak_bytes - own > free:
        log.warning("memory may run out: half the rows at once are tried then", **about)
    return found


def _met(plan: Plan, learner: Learner, course: Course) -> list[str]:
    """Return the limits that were met on the way."""
    found, done, steps = [], len(course.losses), len(plan.batches)
    if learner.rows_at_once < learner.knobs.batch_size:
        found.append(
            f"memory: training.batch_size = {learner.knobs.batch_size} was too much, {learner.rows_at_once} rows were "
            "taken at once"
        )
    if done < steps:
        found.append(
            f"training.patience = {learner.knobs.patience}: ended after {done} of {steps} steps, the validation loss "
            f"was best after {course.best_step}"
        )
    return found


def _fingerprint(recipe: Recipe, plan: Plan, base: str, warm_start: Path | None) -> str:
    """Return a digest of all that a checkpoint depends on: of model and adapter the content, for they lie elsewhere on
    another machine. An adapter's folder is named by it."""
    began_from = warm_start.name if warm_start else ""
    rows = [[[row.prompt, row.completion] for row in part] for part in (plan.rows, plan.validation)]
    content = [asdict(recipe), rows, base, began_from]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
