"""The steps of one retraining: prepare, train, evaluate, judge. Each may be killed and done again, here or on another
machine that has what the steps before have left in the store."""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog

from monitor.flat_table import flat
from retrain.adapters import commit
from retrain.base_model import base_model_id, check_model, former_base_model_id
from retrain.data import manifest
from retrain.data.dataset import Dataset, unfair
from retrain.data.manifest import Manifest
from retrain.evaluation.checks import level
from retrain.evaluation.comparison import EngineSource, check_settings, compare
from retrain.evaluation.gate import GateInput, judge
from retrain.evaluation.judged import ModelJudge
from retrain.evaluation.limits import context_of, limits
from retrain.evaluation.pairs import summary
from retrain.handover import Handover
from retrain.job_files import (
    CANDIDATE,
    GATE,
    PROGRESS,
    RUN,
    TRAINING,
    Candidate,
    JobOutcome,
    JobSpec,
    TrainingProgress,
    read,
    write,
)
from retrain.job_rows import agreement, dataset_of, known_dataset, later, unlabelled
from retrain.training import tracking
from retrain.training.backends.contract import ADAPTER, OnStep, TrainingOrder, TrainingResult, write_order
from retrain.training.backends.process import run_training
from retrain.training.encoding import lessons
from retrain.training.prompting import load_tokenizer
from retrain.training.tracking import TrackedRun
from streams.files import put
from streams.identity import adapter_digest, adapter_key

log = structlog.get_logger()


class StepMissing(ValueError):
    """A step was asked for before the one that it follows."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job in its folder. `training` trains what is ordered in a folder, in so many processes."""

    spec: JobSpec
    folder: Path
    handover: Handover
    training: Callable[[Path, int, OnStep], TrainingResult] = run_training

    def dataset(self) -> tuple[Manifest, Dataset]:
        """Return what `prepare` made. Raise StepMissing where there is none."""
        found = known_dataset(self.spec, self.folder)
        if found is None:
            raise StepMissing(f"{self.folder}: no dataset yet; run the step prepare first")
        return found

    def candidate(self) -> Candidate | None:
        """Return what `train` made of the dataset; None where there is nothing yet."""
        found, dataset = read(self.folder / CANDIDATE, Candidate), known_dataset(self.spec, self.folder)
        return found if found is not None and dataset is not None and found.dataset == dataset[0].digest else None

    def gate(self) -> GateInput | None:
        """Return what `evaluate` found of the candidate; None where there is nothing yet."""
        found, candidate = read(self.folder / GATE, GateInput), self.candidate()
        return found if found is not None and candidate and found.candidate == candidate.version else None


def prepare(job: Job) -> None:
    """Make the dataset. Raise whatever keeps the job from training: model, recipe, champion or rows."""
    spec = job.spec
    check_model(spec.model_dir)
    check_settings(spec.settings, spec.request.alias)
    asdict(spec.knobs)
    base = _base(spec)
    stored_champion(spec, base)
    dataset_of(spec, job.folder, base, load_tokenizer(spec.model_dir))


def train(job: Job) -> None:
    """Train the candidate and put it into the store. Raise whatever keeps it from an adapter."""
    listed, _ = job.dataset()
    if job.candidate() is not None:
        _clear(job)
        return
    spec, trees, base, warm = job.spec, job.spec.trees(), _base(job.spec), _warm(job.spec)
    stored_champion(spec, base)
    folder = job.folder / TRAINING
    write_order(folder, _order(spec, listed, warm=warm))
    with _tracked(job, listed) as run:
        result = job.training(folder, spec.resources.gpus, _reporter(job, run))
        adapter = commit(folder / ADAPTER, trees, spec.request.alias, base)
        manifest.remember(trees, adapter.version, listed.digest, spec.request.champion if warm else "")
        run.artifacts(adapter.path, "adapter")
    made = Candidate(
        version=adapter.version,
        digest=adapter.digest,
        dataset=listed.digest,
        rows=result.rows,
        figures=_training_figures(result),
        notes=result.notes,
    )
    write(job.folder / CANDIDATE, made)
    _clear(job)


def evaluate(job: Job) -> None:
    """Ask candidate and champion the dataset's rows, through the engine. Raise where it does not answer."""
    listed, dataset = job.dataset()
    made = _required(job)
    if job.gate() is not None:
        return
    spec, settings = job.spec, job.spec.settings
    champion, tokenizer = stored_champion(spec, _base(spec)), load_tokenizer(spec.model_dir)
    taught = [row.lesson() for row in dataset.train]
    untaught = lessons(tokenizer, taught, spec.knobs.training.max_length, settings.max_left_out).left_out
    with _tracked(job, listed):
        gate = asyncio.run(
            compare(
                settings,
                spec.engine,
                dataset,
                spec.scorer(),
                (made.version, spec.trees().fetch(adapter_key(spec.request.alias, made.digest))),
                (spec.request.champion, champion),
                limits=limits(tokenizer, dataset.rows, settings.max_tokens, context_of(spec.model_dir)),
                later=partial(later, spec, made.version, listed, dataset, tokenizer),
                alpha=level(settings.alpha, spec.attempt),
                evaluation=spec.request.id,
                untaught=untaught,
                then=_by_judge(spec, made.version, listed, dataset, tokenizer),
            )
        )
    write(job.folder / GATE, msgspec.structs.replace(gate, unfair=unfair(dataset.dropped)))


def verdict(job: Job) -> JobOutcome:
    """Return the outcome: the gate's verdict on what was found."""
    made, gate = _required(job), job.gate()
    if gate is None:
        raise StepMissing(f"{job.folder}: no answers yet; run the step evaluate first")
    listed, dataset = job.dataset()
    found = made.figures | _filtered(listed) | summary(gate)
    found["untaught_share"] = sum(gate.untaught.values()) / max(1, len(dataset.train))
    kept = {name: round(value, 6) for name, value in found.items() if math.isfinite(value)}
    with _tracked(job, listed) as run:
        run.metrics({**found, **{f"{name}_rows": float(part.rows) for name, part in listed.parts.items()}})
        run.artifacts(manifest.located(job.spec.trees(), listed.digest), "dataset")
    return JobOutcome(
        candidate=made.version,
        digest=made.digest,
        trained_rows=made.rows,
        dataset_digest=listed.digest,
        mlflow_run=run.id,
        metrics=kept,
        notes=made.notes,
        gate=gate,
        verdict=judge(gate),
    )


def stored_champion(spec: JobSpec, base: str) -> Path:
    """Return the champion's folder, once its bytes match its name. Raises ValueError, FileNotFoundError."""
    path = spec.trees().fetch(adapter_key(spec.request.alias, spec.champion_digest))
    found = adapter_digest(path, base)
    if spec.champion_digest not in (found, adapter_digest(path, former_base_model_id(spec.model_dir))):
        raise ValueError(
            f"{path}: digest is {found}, expected {spec.champion_digest}: altered, or another base model's"
        )
    return path


def _by_judge(
    spec: JobSpec, candidate: str, listed: Manifest, dataset: Dataset, tokenizer: Any
) -> Callable[[GateInput, EngineSource], Awaitable[GateInput]] | None:
    """Return what asks the alias's judge model about rows without a label; None where it has none."""
    scorer = spec.judged_by() if spec.settings.judged_rows else None
    if scorer is None:
        return None
    rows = partial(unlabelled, spec, scorer, candidate, listed, dataset, tokenizer)
    judge = ModelJudge(scorer=scorer, rows=rows, agrees=agreement(spec, scorer), may_promote=spec.judge_may_promote)
    return judge.asked


def _order(spec: JobSpec, listed: Manifest, *, warm: bool) -> TrainingOrder:
    settings, stored = spec.settings, spec.stored()
    champion = stored.uri(adapter_key(spec.request.alias, spec.champion_digest))
    return TrainingOrder(
        rows=stored.uri(manifest.dataset_key(listed.digest)),
        model=spec.model,
        recipe=asdict(spec.knobs),
        warm_start=champion if warm else "",
        fresh_passes=settings.fresh_passes,
        backend=settings.backend,  # type: ignore[arg-type]  # the settings have checked it
        command=list(settings.command),
        command_environment=list(settings.command_environment),
        packing=settings.packing,
        threads=settings.threads or max(1, (os.cpu_count() or 2) // 2),
        max_left_out=settings.max_left_out,
        predecessor=champion,
        engine_dtype=settings.engine_dtype,
        storage=spec.storage,
        var=str(spec.var),
    )


@contextmanager
def _tracked(job: Job, listed: Manifest) -> Iterator[TrackedRun]:
    """Open the job's run in MLflow; each step goes on in it."""
    spec, request = job.spec, job.spec.request
    parameters: dict[str, object] = {"dataset": listed.digest, "base_model": _base(spec), "champion": request.champion}
    parameters |= flat(asdict(spec.knobs))
    tags = {"request": request.id, "alarm": request.alarm_id, "reason": request.reason}
    name = f"{request.alias} {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(request.time_ms / 1000))}"
    with tracking.run(spec.var / "mlflow", request.alias, name, parameters, tags, job.folder / RUN) as run:
        yield run


def _reporter(job: Job, run: TrackedRun) -> OnStep:
    def report(step: int, steps: int, loss: float) -> None:
        run.step(step, steps, loss)
        with suppress(OSError):  # progress is for show: no training ends for it
            put(job.folder / PROGRESS, msgspec.json.encode(TrainingProgress(step, steps, loss)))
        job.handover.give(time.monotonic())  # the dataset's name, and each checkpoint with the step after it

    return report


def _clear(job: Job) -> None:
    """Remove the training's folder, once its adapter is in the store."""
    shutil.rmtree(job.folder / TRAINING, ignore_errors=True)


def _required(job: Job) -> Candidate:
    found = job.candidate()
    if found is None:
        raise StepMissing(f"{job.folder}: no candidate of this dataset yet; run the step train first")
    return found


def _base(spec: JobSpec) -> str:
    return base_model_id(spec.model_dir, spec.var / "digests")


def _warm(spec: JobSpec) -> bool:
    return spec.knobs.training.warm_start == "champion" and not spec.request.forgets


def _training_figures(result: TrainingResult) -> dict[str, float]:
    return {
        **result.metrics,
        "loss": result.loss,
        "train_seconds": result.seconds,
        "left_out_rows": float(result.left_out),
        "left_out_share": result.left_out / max(1, result.left_out + result.rows),
        "steps": float(result.steps),
        "resumed_at": float(result.resumed_at),
    }


def _filtered(listed: Manifest) -> dict[str, float]:
    """Return how many rows the dataset does without."""
    filtered = sum(listed.dropped.values())
    kept = sum(part.rows for part in listed.parts.values())
    return {"filtered_rows": float(filtered), "filtered_share": filtered / max(1, filtered + kept)}
