"""The first adapter of an alias, from labelled rows: the champion that later candidates are compared with."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
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
from retrain.registry import origins
from retrain.registry.origins import first_of
from retrain.settings import RetrainSettings
from retrain.training import recipe, tracking
from retrain.training.proofs.proof import write_proof
from retrain.training.train import OnStep, silent, train
from streams.files import locked
from streams.objects.tree import Trees

log = structlog.get_logger()

FOLDER = "first"  # in `var`: first adapters under way, each in a folder named by what it is made from


def first_adapter(
    rows: Sequence[Example],
    *,
    alias: str,
    model_dir: Path,
    var: Path,
    trees: Trees,
    settings: RetrainSettings,
    progress: OnStep = silent,
) -> Adapter:
    """Train on the rows; put the adapter and its rows into the store, where a later retraining finds them. Killed and
    called again with the same rows, recipe and model it goes on from the last checkpoint; a second process that does
    the same waits for the first. Raises ValueError or OSError where the model, the rows or the store cannot be used."""
    check_model(model_dir)
    knobs = recipe.find(settings.recipe, settings.max_lora_rank)
    base = base_model_id(model_dir, var / "digests")
    dataset = examples(rows)
    listed = manifest.store(trees, dataset, alias=alias, base_model=base, since_ms=0)
    parameters = {"dataset": listed.digest, "base_model": base, "recipe": knobs.name, **asdict(knobs.training)}
    tags, name = {"rows": str(len(dataset.train))}, f"{alias} first"
    with (
        _under_way(var, trees, [alias, base, listed.digest, repr(knobs)]) as (folder, handover),
        tracking.run(var / "mlflow", alias, name, parameters, tags, folder / "mlflow_run") as run,
    ):

        def tell(step: int, steps: int, loss: float) -> None:
            run.step(step, steps, loss)
            progress(step, steps, loss)
            handover.give(time.monotonic())

        pairs = [row.lesson() for row in dataset.lessons()]
        done = train(
            pairs,
            model_dir,
            knobs,
            folder / "training",
            threads=settings.threads or None,
            progress=tell,
            max_left_out=settings.max_left_out,
        )
        write_proof(done.folder, model_dir, None, settings.engine_dtype)
        adapter = commit(done.folder, trees, alias, base)
        run.metrics(done.figures())
        run.artifacts(adapter.path, "adapter")
        for each in done.limits:
            log.warning("limit met", limit=each)
        manifest.remember(trees, adapter.version, listed.digest)
        origins.remember(trees, first_of(adapter, base, dataset=listed.digest, run=run.id))
    return adapter


@contextmanager
def _under_way(var: Path, trees: Trees, made_from: Sequence[str]) -> Iterator[tuple[Path, Handover]]:
    """Keep one folder for one first adapter until it is made, with what an earlier start left there, here or on another
    machine. It holds no row."""
    digest = hashlib.sha256("\0".join(made_from).encode()).hexdigest()[:16]
    folder = var / FOLDER / f"{FOLDER}-{digest}"
    lock = folder.with_suffix(".lock")
    with locked(lock):
        folder.mkdir(exist_ok=True)
        handover = Handover(None if trees.store.folder == var else trees.store, folder)
        handover.take()
        yield folder, handover
        handover.end()
        shutil.rmtree(folder)
        lock.unlink()


def examples(rows: Sequence[Example]) -> Dataset:
    """Return the rows as a dataset for training only, each question once."""
    dropped: Counter[str] = Counter()
    return Dataset(once(rows, dropped), [], [], [], dict(dropped))
