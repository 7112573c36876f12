"""MLflow: one run a training, in a local SQLite store unless told otherwise."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class Run:
    """One MLflow run that is open."""

    def __init__(self, run_id: str) -> None:
        self.id = run_id

    def step(self, step: int, steps: int, loss: float) -> None:
        """Fits `retrain.train.Progress`."""
        import mlflow

        mlflow.log_metric("train_loss_nats", loss, step=step)

    def metrics(self, values: Mapping[str, float]) -> None:
        import mlflow

        mlflow.log_metrics(dict(values))

    def artifacts(self, folder: Path, name: str) -> None:
        import mlflow

        mlflow.log_artifacts(str(folder), name)


@contextmanager
def run(store: Path, alias: str, name: str, parameters: Mapping[str, object], tags: Mapping[str, str]) -> Iterator[Run]:
    """An open run in the experiment `alias`, its database and artefacts under `store`. It ends as FAILED when the
    block raises."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import mlflow

    logging.getLogger("alembic").setLevel(logging.WARNING)
    store.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{(store / 'mlflow.db').resolve()}")
    if mlflow.get_experiment_by_name(alias) is None:
        mlflow.create_experiment(alias, artifact_location=(store / "artifacts").resolve().as_uri())
    mlflow.set_experiment(alias)
    with mlflow.start_run(run_name=name, tags=dict(tags)) as active:
        mlflow.log_params(dict(parameters))
        yield Run(active.info.run_id)
