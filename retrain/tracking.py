"""MLflow: one run a training, in a local SQLite store unless told otherwise."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

Step = Callable[[int, int, float], None]  # step, steps, loss in nats a token


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
def run(
    store: Path,
    alias: str,
    name: str,
    parameters: Mapping[str, object],
    tags: Mapping[str, str],
    resume: Path | None = None,
) -> Iterator[Run]:
    """An open run in the experiment `alias`, its database and artefacts under `store`. It ends as FAILED when the
    block raises. The file `resume` keeps the run's id: who was killed goes on in the same run."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import mlflow

    for noisy in ("alembic", "mlflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    store.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{(store / 'mlflow.db').resolve()}")
    if mlflow.get_experiment_by_name(alias) is None:
        mlflow.create_experiment(alias, artifact_location=(store / "artifacts").resolve().as_uri())
    mlflow.set_experiment(alias)
    known = resume.read_text().strip() if resume is not None and resume.is_file() else None
    with mlflow.start_run(run_id=known, run_name=None if known else name, tags=dict(tags)) as active:
        if resume is not None:
            resume.write_text(active.info.run_id)
        mlflow.log_params({key: str(value) for key, value in parameters.items()})
        yield Run(active.info.run_id)
