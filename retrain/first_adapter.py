"""The first adapter of an alias, from labelled rows: the champion that later candidates are compared with."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import structlog

from retrain.adapters import Adapter, commit
from retrain.base_model import base_model_id, check_model
from retrain.data import manifest
from retrain.data.dataset import Dataset, once
from retrain.data.example import Example
from retrain.handover import Handover
from retrain.job_files import TRAINING
from retrain.registry import origins
from retrain.registry.origins import first_of
from retrain.settings import RetrainSettings
from retrain.training import recipe, tracking
from retrain.training.backends.contract import ADAPTER, OnStep, TrainingOrder, TrainingResult, write_order
from retrain.training.backends.process import run_training
from retrain.training.figures import training_figures
from retrain.training.recipe import Recipe
from streams.files import locked
from streams.objects.opening import Storage

log = structlog.get_logger()

FOLDER = "first"  # in `var`: first adapters under way, each in a folder named by what it is made from


def first_adapter(
    rows: Sequence[Example],
    *,
    alias: str,
    model_dir: Path,
    stored: Storage,
    settings: RetrainSettings,
    progress: OnStep = lambda step, steps, loss: None,
    training: Callable[[Path, int, OnStep], TrainingResult] = run_training,
) -> Adapter:
    """Train on the rows by the backend of the settings; put the adapter and its rows into the store, where a later
    retraining finds them. Killed and called again with the same rows, recipe and model it goes on from the last
    checkpoint; a second process that does the same waits for the first. Raises ValueError or OSError where the model,
    the rows or the store cannot be used, TrainingFailed."""
    check_model(model_dir)
    trees, var = stored.trees(), stored.var
    knobs = recipe.find(settings.recipe, settings.max_lora_rank)
    base = base_model_id(model_dir, var / "digests")
    dataset = examples(rows)
    listed = manifest.store(trees, dataset, alias=alias, base_model=base, since_ms=0)
    parameters = {"dataset": listed.digest, "base_model": base, "recipe": knobs.name, **asdict(knobs.training)}
    tags, name = {"rows": str(len(dataset.train))}, f"{alias} first"
    with (
        _under_way(stored, [alias, base, listed.digest, repr(knobs)]) as (folder, handover),
        tracking.run(var / "mlflow", alias, name, parameters, tags, folder / "mlflow_run") as run,
    ):

        def tell(step: int, steps: int, loss: float) -> None:
            run.step(step, steps, loss)
            progress(step, steps, loss)
            handover.give(time.monotonic())

        write_order(folder / TRAINING, _order(stored, model_dir, listed.digest, knobs, settings))
        result = training(folder / TRAINING, settings.gpus, tell)
        adapter = commit(folder / TRAINING / ADAPTER, trees, alias, base)
        run.metrics(training_figures(result))
        run.artifacts(adapter.path, "adapter")
        for each in result.notes:
            log.warning("limit met", limit=each)
        manifest.remember(trees, adapter.version, listed.digest)
        origins.remember(trees, first_of(adapter, base, dataset=listed.digest, run=run.id))
    return adapter


def _order(stored: Storage, model_dir: Path, dataset: str, knobs: Recipe, settings: RetrainSettings) -> TrainingOrder:
    return TrainingOrder(
        rows=stored.uri(manifest.dataset_key(dataset)),
        model=model_dir.resolve().as_uri(),
        recipe=asdict(knobs),
        backend=settings.backend,  # type: ignore[arg-type]  # the settings have checked it
        command=list(settings.command),
        command_environment=list(settings.command_environment),
        packing=settings.packing,
        threads=settings.threads,
        max_left_out=settings.max_left_out,
        engine_dtype=settings.engine_dtype,
        storage=stored.settings,
        var=str(stored.var.resolve()),
    )


@contextmanager
def _under_way(stored: Storage, made_from: Sequence[str]) -> Iterator[tuple[Path, Handover]]:
    """Keep one folder for one first adapter until it is made, with what an earlier start left there, here or on another
    machine. It holds no row."""
    digest = hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:16]
    folder = stored.var / FOLDER / f"{FOLDER}-{digest}"
    lock = folder.with_suffix(".lock")
    with locked(lock):
        folder.mkdir(exist_ok=True)
        store = stored.objects()
        handover = Handover(None if store.folder == stored.var.resolve() else store, folder)
        handover.take()
        yield folder, handover
        handover.end()
        shutil.rmtree(folder)
        lock.unlink()


def examples(rows: Sequence[Example]) -> Dataset:
    """Return the rows as a dataset for training only, each question once."""
    dropped: Counter[str] = Counter()
    return Dataset(once(rows, dropped), [], [], [], dict(dropped))
