"""What a retraining forgets: `python -m tests.bench.retrain --only forgetting [--quick] [--stack FOLDER]`.

FOLDER is that of a demo's stack (`var/demo/stack`) whose loop retrained. Its first retraining is done again, from the
same champion on the same rows, with the rows of the healthy time that are rehearsed and without them; then the champion
and each candidate answer the rows that the gate judged on. A right answer is one that greedy decoding would give. Two
minutes a training, and one to look at it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from msgspec.structs import replace

from retrain.data import manifest
from retrain.data.dataset import Dataset
from retrain.data.example import Example
from retrain.job_files import SPEC, JobSpec, read
from retrain.training import recipe
from retrain.training.encoding import lessons
from retrain.training.loss import answer_logits
from retrain.training.model import build
from retrain.training.prompting import load_tokenizer
from retrain.training.recipe import Recipe
from retrain.training.train import train
from streams.identity import adapter_key
from tests.bench.retrain.goals import figure
from tests.bench.tools.figures import NOT_MEASURED, Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch

TRAININGS = [(rehearses, seed) for seed in range(2) for rehearses in (True, False)]
OLD, NEW = "old rows", "new rows"
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Retraining:
    """One that a demo did."""

    spec: JobSpec
    knobs: Recipe
    dataset: Dataset
    champion: Path


def measured(stack: Path, quick: bool) -> list[Figure]:
    """Train a demo's candidate again with other learning rates, and see what it forgets."""
    torch.set_num_threads(1)
    again = first(stack)
    if again is None:
        return [Figure("forgetting: right", NOT_MEASURED, "%", note=f"no demo retrained in {stack}: `make demo`")]
    before = rights(again, again.champion)
    figures = [shown("champion", part, share) for part, share in before.items()]
    with scratch("forgetting") as folder:
        for rehearses, seed in TRAININGS[: 2 if quick else None]:
            name = f"{'with' if rehearses else 'without'} rehearsal, seed {seed}"
            note(f"training {name}")
            after = rights(again, trained(again, seed, folder / str(len(figures)), rehearses=rehearses))
            figures += [shown(name, part, share) for part, share in after.items()]
            lost = f"forgetting: points lost on {OLD}, {name}", before[OLD] - after[OLD], "points"
            figures.append(figure(*lost) if rehearses else Figure(*lost))
    return figures


def first(stack: Path) -> Retraining | None:
    """The oldest retraining that has a dataset, if any."""
    jobs = sorted((stack / "jobs").glob("*/dataset"), key=lambda each: each.stat().st_mtime)
    spec = read(jobs[0].parent / SPEC, JobSpec) if jobs else None
    if spec is None:
        return None
    dataset = manifest.load(spec.trees(), jobs[0].read_text().strip())[1]
    champion = spec.trees().fetch(adapter_key(spec.request.alias, spec.champion_digest))
    return Retraining(spec, recipe.find(spec.settings.recipe), dataset, champion)


def trained(again: Retraining, seed: int, out: Path, *, rehearses: bool) -> Path:
    """The folder of a candidate of that seed."""
    dataset = again.dataset if rehearses else replace(again.dataset, rehearsal=[])
    training = dataclasses.replace(again.knobs.training, seed=seed)
    done = train(
        [row.lesson() for row in dataset.lessons(again.spec.settings.fresh_passes)],
        again.spec.model_dir,
        dataclasses.replace(again.knobs, training=training),
        out,
        warm_start=again.champion,
        threads=1,
    )
    return done.folder


def rights(again: Retraining, adapter: Path) -> dict[str, float]:
    """Shares of right answers on old rows and on new ones, in %."""
    parts = {OLD: again.dataset.regression, NEW: again.dataset.validation}
    return {part: 100 * right(again, adapter, rows) for part, rows in parts.items()}


def shown(name: str, part: str, share: float) -> Figure:
    """The figure of a share."""
    return Figure(f"forgetting: right, {name}, {part}", share, "%")


def right(again: Retraining, adapter: Path, rows: Sequence[Example]) -> float:
    """The share of rows whose answer's tokens are each the likeliest, given those before."""
    tokenizer, device = load_tokenizer(again.spec.model_dir), torch.device("cpu")
    most, taught = again.knobs.training.max_length, [row.lesson() for row in rows]
    encoded = lessons(tokenizer, taught, most, max_left_out=1.0).rows
    model, found = build(again.spec.model_dir, again.knobs, device, adapter).eval(), 0
    for start in range(0, len(encoded), AT_ONCE):
        part = encoded[start : start + AT_ONCE]
        with torch.no_grad():
            likeliest = iter(answer_logits(model, part, tokenizer.pad_token_id, device).argmax(-1).tolist())
        found += sum(list(islice(likeliest, len(row.completion))) == list(row.completion) for row in part)
    return found / len(encoded)
