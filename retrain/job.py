"""One retraining, in a process of its own: `python -m retrain.job FOLDER`. Dataset, training, evaluation, verdict.

Its input is FOLDER/job.json, its result FOLDER/outcome.json. Killed and started again it goes on: with the same rows,
from the training's last checkpoint, in the same MLflow run."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog

from monitor.flat_table import flat
from retrain.adapters import Adapter, commit
from retrain.base_model import base_model_id, check_model, former_base_model_id
from retrain.data import manifest
from retrain.data.dataset import UNFAIR, Dataset
from retrain.data.manifest import Manifest
from retrain.evaluation.comparison import compare, summary
from retrain.evaluation.gate import GateInput, judge
from retrain.evaluation.limits import context_of, limits
from retrain.handover import Handover
from retrain.job_files import OUTCOME, PROGRESS, SPEC, JobOutcome, JobSpec, TrainingProgress, concluded, read, write
from retrain.job_rows import dataset_of, later
from retrain.training import recipe, tracking
from retrain.training.encoding import lessons
from retrain.training.prompting import load_tokenizer
from retrain.training.proof import write_proof
from retrain.training.train import OnStep, Trained, train
from streams.files import locked, put
from streams.identity import adapter_digest, adapter_key

log = structlog.get_logger()

LOOK_S = 1.0


def main(folder: Path) -> int:
    """Work until there is an outcome; return 0 where there is one, a failed retraining included."""
    spec = read(folder / SPEC, JobSpec)
    if spec is None:
        print(f"{folder / SPEC}: missing or unreadable; the trainer writes it", file=sys.stderr)
        return 2
    threading.Thread(target=_die_with, args=(spec.parent,), daemon=True).start()
    with locked(folder / "lock"):  # one that outlived its trainer ends within a second
        handover = Handover.of(spec, folder)
        handover.take()
        if concluded(folder / OUTCOME) is None:
            write(folder / OUTCOME, _outcome(spec, folder, handover))
        handover.end()
    return 0


def _outcome(spec: JobSpec, folder: Path, handover: Handover) -> JobOutcome:
    try:
        return work(spec, folder, handover)
    except Exception as error:  # the job's top: the outcome names the error
        log.exception("retraining failed", request=spec.request.id)
        return JobOutcome(problem=f"{type(error).__name__}: {error}")


def work(spec: JobSpec, folder: Path, handover: Handover) -> JobOutcome:
    """Return the outcome of one retraining. Raises whatever keeps it from a verdict."""
    request, settings = spec.request, spec.settings
    check_model(spec.model_dir)
    knobs = recipe.find(settings.recipe)
    base = base_model_id(spec.model_dir, spec.var / "digests")
    champion, tokenizer = stored_champion(spec, base), load_tokenizer(spec.model_dir)
    listed, dataset = dataset_of(spec, folder, base, tokenizer)
    taught = [row.lesson() for row in dataset.train]
    untaught = lessons(tokenizer, taught, knobs.training.max_length, settings.max_left_out).left_out
    warm = champion if knobs.training.warm_start == "champion" else None
    parameters = {"dataset": listed.digest, "base_model": base, "champion": request.champion, **flat(asdict(knobs))}
    with _tracked(spec, folder, parameters) as run:
        trained = train(
            [row.lesson() for row in dataset.lessons(settings.fresh_passes)],
            spec.model_dir,
            knobs,
            folder / "training",
            warm_start=warm,
            threads=settings.threads or max(1, (os.cpu_count() or 2) // 2),
            progress=_reporter(folder, run, handover),
            max_left_out=settings.max_left_out,
        )
        proof = write_proof(trained.folder, spec.model_dir, champion, settings.engine_dtype)
        adapter = commit(trained.folder, spec.trees(), request.alias, base)
        manifest.remember(spec.trees(), adapter.version, listed.digest, request.champion if warm else "")
        gate = _compared(spec, adapter, champion, listed, dataset, tokenizer, untaught)
        gate = msgspec.structs.replace(gate, unfair=+Counter(volunteered=dataset.dropped.get(UNFAIR, 0)))
        verdict = judge(gate)
        found = {"untaught_share": sum(untaught.values()) / len(dataset.train), **_figures(trained, listed)}
        found |= {"proof_rows": float(len(proof.rows)), "proof_tolerance": proof.tolerance}
        found |= summary(gate)
        _keep(run, spec, listed, adapter, trained, found)
    return JobOutcome(
        candidate=adapter.version,
        digest=adapter.digest,
        trained_rows=trained.rows,
        dataset_digest=listed.digest,
        mlflow_run=run.id,
        metrics={name: round(value, 6) for name, value in found.items() if math.isfinite(value)},
        gate=gate,
        verdict=verdict,
    )


def _tracked(
    spec: JobSpec, folder: Path, parameters: Mapping[str, object]
) -> AbstractContextManager[tracking.TrackedRun]:
    """Open the job's run in MLflow."""
    request = spec.request
    tags = {"request": request.id, "alarm": request.alarm_id, "reason": request.reason}
    name = f"{request.alias} {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(request.time_ms / 1000))}"
    return tracking.run(spec.var / "mlflow", request.alias, name, parameters, tags, folder / "mlflow_run")


def _compared(
    spec: JobSpec,
    adapter: Adapter,
    champion: Path,
    listed: Manifest,
    dataset: Dataset,
    tokenizer: Any,
    untaught: Mapping[str, int],
) -> GateInput:
    """Return the gate's input: both versions' scores on the dataset's rows, from the engine that serves."""
    settings = spec.settings
    comparison = compare(
        settings,
        spec.engine,
        dataset,
        spec.scorer(),
        (adapter.version, adapter.path),
        (spec.request.champion, champion),
        limits=limits(tokenizer, dataset.rows, settings.max_tokens, context_of(spec.model_dir)),
        later=partial(later, spec, adapter.version, listed, dataset, tokenizer),
        alpha=settings.alpha / 2 ** (spec.attempt - 1),
        evaluation=spec.request.id,
        untaught=untaught,
    )
    return asyncio.run(comparison)


def _figures(trained: Trained, listed: Manifest) -> dict[str, float]:
    """Return the training's figures, and the rows that it did without."""
    filtered = sum(listed.dropped.values())
    kept = sum(part.rows for part in listed.parts.values())
    return {
        "loss": trained.loss,
        "train_seconds": trained.seconds,
        "left_out_rows": float(trained.left_out),
        "left_out_share": trained.left_out / max(1, trained.left_out + trained.rows),
        "filtered_rows": float(filtered),
        "filtered_share": filtered / max(1, filtered + kept),
    }


def stored_champion(spec: JobSpec, base: str) -> Path:
    """Return the champion's folder, once its bytes match its name. Raises ValueError, FileNotFoundError."""
    path = spec.trees().fetch(adapter_key(spec.request.alias, spec.champion_digest))
    found = adapter_digest(path, base)
    if spec.champion_digest not in (found, adapter_digest(path, former_base_model_id(spec.model_dir))):
        raise ValueError(
            f"{path}: digest is {found}, expected {spec.champion_digest}: altered, or another base model's"
        )
    return path


def _reporter(folder: Path, run: tracking.TrackedRun, handover: Handover) -> OnStep:
    def report(step: int, steps: int, loss: float) -> None:
        run.step(step, steps, loss)
        with suppress(OSError):  # progress is for show: no training ends for it
            put(folder / PROGRESS, msgspec.json.encode(TrainingProgress(step, steps, loss)))
        handover.give(time.monotonic())  # the dataset's name, and each checkpoint with the step after it

    return report


def _keep(
    run: tracking.TrackedRun,
    spec: JobSpec,
    listed: Manifest,
    adapter: Adapter,
    trained: Trained,
    found: dict[str, float],
) -> None:
    counts = {f"{name}_rows": float(part.rows) for name, part in listed.parts.items()}
    run.metrics({**found, **counts, "steps": float(trained.steps), "resumed_at": float(trained.resumed_at)})
    run.artifacts(adapter.path, "adapter")
    run.artifacts(manifest.located(spec.trees(), listed.digest), "dataset")


def _die_with(parent: int) -> None:
    """End this process with its trainer's: else the job would go on while another trainer runs the same request."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
