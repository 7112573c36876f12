"""One retraining, in a process of its own: `python -m retrain.job FOLDER`. Dataset, training, evaluation, verdict.

Everything it needs is in FOLDER/job.json, everything it found in FOLDER/outcome.json. Killed and started again it goes
on: with the same rows, from the training's last checkpoint, in the same MLflow run."""

from __future__ import annotations

import asyncio
import fcntl
import math
import os
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import msgspec
import structlog

from retrain import harvest, manifest, recipe, tracking
from retrain.adapters import Adapter, commit
from retrain.base_model import base_model_id, check_model, former_base_model_id
from retrain.comparison import compare, summary
from retrain.dataset import Dataset, build
from retrain.gate import judge
from retrain.manifest import Manifest
from retrain.outcome import JobOutcome, JobSpec, concluded, read, write
from retrain.train import Trained, train
from streams.identity import adapter_digest, adapter_path

log = structlog.get_logger()

SPEC, OUTCOME, PROGRESS = "job.json", "outcome.json", "progress.json"
LOOK_S = 1.0


class Progress(msgspec.Struct, frozen=True):
    """How far the training is."""

    step: int
    steps: int
    loss: float


def main(folder: Path) -> int:
    """Works until there is an outcome; 0 where there is one, a failed retraining included."""
    spec = read(folder / SPEC, JobSpec)
    if spec is None:
        print(f"{folder / SPEC}: missing or unreadable; the trainer writes it", file=sys.stderr)
        return 2
    threading.Thread(target=_die_with, args=(spec.parent,), daemon=True).start()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one that outlived its trainer ends within a second
        if concluded(folder / OUTCOME) is None:
            write(folder / OUTCOME, _outcome(spec, folder))
    return 0


def _outcome(spec: JobSpec, folder: Path) -> JobOutcome:
    try:
        return work(spec, folder)
    except Exception as error:  # the job's top: the trainer must hear of it
        log.exception("retraining failed", request=spec.request.id)
        return JobOutcome(problem=f"{type(error).__name__}: {error}")


def work(spec: JobSpec, folder: Path) -> JobOutcome:
    """Raises what keeps it from a verdict."""
    request, settings = spec.request, spec.settings
    check_model(spec.model_dir)
    knobs = recipe.find(settings.recipe)
    base = base_model_id(spec.model_dir, spec.var / "digests")
    champion = stored_champion(spec, base)
    listed, dataset = rows(spec, folder, base)
    parameters = {"dataset": listed.digest, "base_model": base, "champion": request.champion, **_flat(asdict(knobs))}
    tags = {"request": request.id, "alarm": request.alarm_id, "reason": request.reason}
    name = f"{request.alias} {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(request.time_ms / 1000))}"
    with tracking.run(spec.var / "mlflow", request.alias, name, parameters, tags, folder / "mlflow_run") as run:
        warm = champion if knobs.training.warm_start == "champion" else None
        trained = train(
            [row.lesson() for row in dataset.lessons(settings.fresh_passes)],
            spec.model_dir,
            knobs,
            folder / "training",
            warm_start=warm,
            threads=settings.threads or max(1, (os.cpu_count() or 2) // 2),
            progress=_teller(folder, run),
        )
        adapter = commit(trained.folder, spec.var / "adapters", request.alias, base)
        manifest.remember(spec.var / "datasets", adapter.version, listed.digest)
        sides = ((adapter.version, adapter.path), (request.champion, champion))
        gate = asyncio.run(compare(settings, spec.engine, dataset, spec.metric, *sides))
        verdict = judge(gate)
        found = {"loss": trained.loss, "train_seconds": trained.seconds, **summary(gate)}
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


def rows(spec: JobSpec, folder: Path, base: str) -> tuple[Manifest, Dataset]:
    """The dataset; a job that is started again takes the one it had."""
    root, note, request = spec.var / "datasets", folder / "dataset", spec.request
    known = _made(root, note)
    if known is not None:
        return known
    lake = spec.var / "lake"
    dataset = build(
        spec.settings,
        harvest.fresh(lake, request.alias, request.since_ms),
        harvest.healthy(lake, request.alias, request.since_ms),
        manifest.trained_on(root, request.champion),
    )
    listed = manifest.store(root, dataset, alias=request.alias, base_model=base, since_ms=request.since_ms)
    note.write_text(listed.digest)
    counts = {name: part.rows for name, part in listed.parts.items()}
    log.info("dataset made", digest=listed.digest[:12], **counts, dropped=dataset.dropped)
    return listed, dataset


def _made(root: Path, note: Path) -> tuple[Manifest, Dataset] | None:
    """The dataset that the note names; None where there is none yet, or none that is whole."""
    try:
        digest = note.read_text().strip()
        return manifest.load(root, digest) if digest else None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        if not isinstance(error, FileNotFoundError):
            log.warning(
                "the dataset of an earlier start cannot be read; it is made again", note=str(note), why=str(error)
            )
        return None


def stored_champion(spec: JobSpec, base: str) -> Path:
    """Its folder, once its bytes are what its name says. Raises ValueError, FileNotFoundError."""
    path = adapter_path(spec.var / "adapters", spec.request.alias, spec.champion_digest)
    found = adapter_digest(path, base)
    if spec.champion_digest not in (found, adapter_digest(path, former_base_model_id(spec.model_dir))):
        raise ValueError(
            f"{path}: digest is {found}, expected {spec.champion_digest}: altered, or another base model's"
        )
    return path


def _teller(folder: Path, run: tracking.Run) -> tracking.Step:
    def tell(step: int, steps: int, loss: float) -> None:
        run.step(step, steps, loss)
        part = folder / f".{PROGRESS}"
        part.write_bytes(msgspec.json.encode(Progress(step, steps, loss)))
        part.replace(folder / PROGRESS)

    return tell


def _keep(
    run: tracking.Run, spec: JobSpec, listed: Manifest, adapter: Adapter, trained: Trained, found: dict[str, float]
) -> None:
    counts = {f"{name}_rows": float(part.rows) for name, part in listed.parts.items()}
    run.metrics({**found, **counts, "steps": float(trained.steps), "resumed_at": float(trained.resumed_at)})
    run.artifacts(adapter.path, "adapter")
    run.artifacts(spec.var / "datasets" / listed.digest, "dataset")


def _flat(table: dict[str, object], at: str = "") -> dict[str, object]:
    """Nested tables as dotted names.

    >>> _flat({"lora": {"r": 16}})
    {'lora.r': 16}
    """
    found: dict[str, object] = {}
    for key, value in table.items():
        found |= _flat(value, f"{at}{key}.") if isinstance(value, dict) else {f"{at}{key}": value}
    return found


def _die_with(parent: int) -> None:
    """A job without its trainer would go on beside its successor."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
