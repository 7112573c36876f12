"""One trainer in a process of its own:
`python -m tests.bench.retrain.trainer_run TRAINER FOLDER ANSWER_TOKENS BATCH STEPS`.

Writes FOLDER/figures.json. The first step and the last one are left out of the speed: the one warms up, and ours
measures its validation loss in the other."""

from __future__ import annotations

import dataclasses
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from retrain.base_model import prepare
from retrain.training.batches import Encoded
from retrain.training.encoding import MAX_LEFT_OUT
from retrain.training.loop.plan import Plan
from retrain.training.loss import answer_loss
from retrain.training.model import build
from retrain.training.prompting import Messages, load_tokenizer
from retrain.training.recipe import Recipe, find
from retrain.training.train import train

MODELS = Path("~/.cache/homeostat/models").expanduser()
TEXT = "the a of to in on for with and or not now then where who order card bill ship late lost new old"
ROWS, HELD, CPU = 1_000, 16, torch.device("cpu")
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Settings:
    """What is trained."""

    answer_tokens: int
    batch: int
    steps: int


@dataclass(slots=True)
class Clock:
    """Processor time at the end of each step; the peak of memory is counted from the first one on."""

    ends_s: list[float] = field(default_factory=list)

    def step(self, *_: object) -> None:
        self.ends_s.append(time.process_time())
        if len(self.ends_s) == 1:
            Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak begins again


def main() -> None:
    """Train, and write what it took."""
    trainer, folder = sys.argv[1], Path(sys.argv[2])
    settings = Settings(*map(int, sys.argv[3:]))
    torch.set_num_threads(1)
    model_dir, clock = prepare(MODELS), Clock()
    tokenizer, recipe = load_tokenizer(model_dir), recipe_of(settings)
    taught, held = rows(tokenizer, settings.answer_tokens)
    plan = Plan.of(tokenizer, taught[: settings.steps * settings.batch], held, recipe.training, MAX_LEFT_OUT)
    found = TRAINERS[trainer](model_dir, recipe, plan, folder, clock, (taught[: settings.steps * settings.batch], held))
    tokens = [sum(len(plan.rows[i]) for i in batch) for batch in plan.batches]
    took_s = clock.ends_s[-2] - clock.ends_s[0]
    found |= {"tokens_s": sum(tokens[1:-1]) / took_s, "steps": len(tokens), "step_s": took_s / (len(tokens) - 2)}
    (folder / "figures.json").write_text(json.dumps({**found, "peak_mib": peak_mib()}))


def recipe_of(settings: Settings) -> Recipe:
    """The demo's, for so many steps."""
    known, steps = find("small"), settings.steps
    changes: dict[str, Any] = {"min_steps": steps, "max_steps": steps, "validation_steps": steps}
    changes["batch_size"] = settings.batch
    return dataclasses.replace(known, training=dataclasses.replace(known.training, **changes))


def rows(tokenizer: Any, answer_tokens: int) -> tuple[list[tuple[Messages, str]], list[tuple[Messages, str]]]:
    """Questions of about 40 tokens, and answers of exactly so many, their end included: to learn, and held back."""
    rng, made = random.Random(1), list[tuple[Messages, str]]()
    while len(made) < ROWS:
        question = " ".join(rng.choices(TEXT.split(), k=rng.randint(30, 38)))
        words = rng.choices(TEXT.split(), k=answer_tokens + 4)
        for count in range(answer_tokens // 2, len(words)):
            answer = " ".join(words[:count])
            if len(tokenizer(answer, add_special_tokens=False).input_ids) == answer_tokens - 1:
                made.append(([{"role": "user", "content": question}], answer))
                break
    return made[HELD:], made[:HELD]


def peak_mib() -> float:
    """The most memory since the first step."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


Given = tuple[Sequence[tuple[Messages, str]], Sequence[tuple[Messages, str]]]
Run = Callable[[Path, Recipe, Plan, Path, Clock, Given], dict[str, float]]


def ours(model_dir: Path, recipe: Recipe, plan: Plan, out: Path, clock: Clock, given: Given) -> dict[str, float]:
    """`retrain.training.train`."""
    taught, held = given
    done = train(taught, model_dir, recipe, out, validation=held, threads=1, progress=clock.step)
    assert done.steps == len(plan.batches)
    return {
        "validation_loss": done.validation[-1][1],
        "estimated_mib": done.estimate.peak_bytes / MIB,
        "whole_peak_mib": done.peak_bytes / MIB,
        "wall_step_s": done.step_seconds,
        "estimated_s": done.estimate.seconds / done.estimate.steps,
    }


def hugging_face(model_dir: Path, recipe: Recipe, plan: Plan, out: Path, clock: Clock, _: Given) -> dict[str, float]:
    """Hugging Face's `Trainer`, with its collator for sequences."""
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    tokenizer, model = load_tokenizer(model_dir), model_of(model_dir, recipe)
    listed = [
        {"input_ids": row.prompt + row.completion, "labels": [-100] * len(row.prompt) + row.completion}
        for row in in_order(plan)
    ]
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**arguments(recipe, plan, out)),
        train_dataset=listed,
        data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True),
        callbacks=[timed(clock)],
    )
    trainer.train()
    return {"validation_loss": loss_of(model, plan, recipe, tokenizer)}


def trl(model_dir: Path, recipe: Recipe, plan: Plan, out: Path, clock: Clock, _: Given) -> dict[str, float]:
    """TRL's `SFTTrainer`, on the same tokens."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    tokenizer, model = load_tokenizer(model_dir), model_of(model_dir, recipe)
    listed = [
        {
            "input_ids": row.prompt + row.completion,
            "completion_mask": [0] * len(row.prompt) + [1] * len(row.completion),
        }
        for row in in_order(plan)
    ]
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**arguments(recipe, plan, out), max_length=None, completion_only_loss=True),
        train_dataset=Dataset.from_list(listed),
        processing_class=tokenizer,
        callbacks=[timed(clock)],
    )
    trainer.train()
    return {"validation_loss": loss_of(model, plan, recipe, tokenizer)}


def model_of(model_dir: Path, recipe: Recipe) -> Any:
    """The same weights and the same new adapter as ours."""
    torch.manual_seed(recipe.training.seed)
    return build(model_dir, recipe, CPU)


def in_order(plan: Plan) -> list[Encoded]:
    """The rows, one batch after the other."""
    return [plan.rows[i] for batch in plan.batches for i in batch]


def arguments(recipe: Recipe, plan: Plan, out: Path) -> dict[str, Any]:
    """Ours, as the peers call them."""
    knobs = recipe.training
    return {
        "output_dir": str(out),
        "max_steps": len(plan.batches),
        "per_device_train_batch_size": knobs.batch_size,
        "learning_rate": knobs.learning_rate,
        "lr_scheduler_type": knobs.schedule,
        "warmup_steps": knobs.warmup_steps,
        "weight_decay": knobs.weight_decay,
        "max_grad_norm": knobs.max_grad_norm,
        "optim": "adamw_torch",
        "seed": knobs.seed,
        "train_sampling_strategy": "sequential",
        "gradient_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "save_strategy": "no",
        "report_to": "none",
        "remove_unused_columns": False,
        "disable_tqdm": True,
    }


def timed(clock: Clock) -> Any:
    """A callback that notes each step's end."""
    from transformers import TrainerCallback

    class Steps(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: object, **__: object) -> None:
            clock.step()

    return Steps()


def loss_of(model: Any, plan: Plan, recipe: Recipe, tokenizer: Any) -> float:
    """The loss on the rows held back, in nats a token."""
    held, total, size = sorted(plan.validation, key=len), 0.0, recipe.training.batch_size
    model.eval()
    with torch.no_grad():
        for start in range(0, len(held), size):
            total += float(answer_loss(model, held[start : start + size], tokenizer.pad_token_id, CPU))
    return total / sum(len(row.completion) for row in held)


TRAINERS: dict[str, Run] = {"own": ours, "Trainer": hugging_face, "SFTTrainer": trl}

if __name__ == "__main__":
    main()
