"""The first adapter of an alias, from labelled rows: the champion that later candidates are compared with."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from retrain.adapters import Adapter, commit
from retrain.base_model import base_model_id, check_model
from retrain.data import manifest
from retrain.data.dataset import Dataset, once
from retrain.data.example import Example
from retrain.settings import RetrainSettings
from retrain.training import recipe, tracking
from retrain.training.proof import write_proof
from retrain.training.train import OnStep, silent, train
from streams.objects.tree import Trees


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
    """Train on the rows; put the adapter and its rows into the store, where a later retraining finds them.
    Raises ValueError or OSError where the model, the rows or the store cannot be used."""
    check_model(model_dir)
    knobs = recipe.find(settings.recipe)
    base = base_model_id(model_dir, var / "digests")
    dataset = examples(rows)
    listed = manifest.store(trees, dataset, alias=alias, base_model=base, since_ms=0)
    parameters = {"dataset": listed.digest, "base_model": base, "recipe": knobs.name, **asdict(knobs.training)}
    with (
        tempfile.TemporaryDirectory(dir=var, prefix=".first-") as scratch,
        tracking.run(var / "mlflow", alias, f"{alias} first", parameters, {"rows": str(len(dataset.train))}) as run,
    ):

        def tell(step: int, steps: int, loss: float) -> None:
            run.step(step, steps, loss)
            progress(step, steps, loss)

        pairs = [row.lesson() for row in dataset.lessons()]
        done = train(
            pairs,
            model_dir,
            knobs,
            Path(scratch),
            threads=settings.threads or None,
            progress=tell,
            max_left_out=settings.max_left_out,
        )
        write_proof(done.folder, model_dir, None, settings.engine_dtype)
        adapter = commit(done.folder, trees, alias, base)
        run.metrics({"loss": done.loss, "train_seconds": done.seconds, "train_rows": float(done.rows)})
        run.metrics({"left_out_rows": float(done.left_out), "left_out_share": done.left_out / len(dataset.train)})
        run.artifacts(adapter.path, "adapter")
    manifest.remember(trees, adapter.version, listed.digest)
    return adapter


def examples(rows: Sequence[Example]) -> Dataset:
    """Return the rows as a dataset for training only, each question once."""
    dropped: Counter[str] = Counter()
    return Dataset(once(rows, dropped), [], [], [], dict(dropped))
