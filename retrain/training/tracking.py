"""MLflow: one run a training, in a local SQLite store unless `MLFLOW_TRACKING_URI` names another.

It is book-keeping: where MLflow fails, the training goes on, and a warning names what was not recorded."""

from __future__ import annotations

import logging
import os
import re
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import structlog

from retrain.training.software import software
from streams.clock import now_ms

log = structlog.get_logger()

URI = "MLFLOW_TRACKING_URI"
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}  # unless an operator sets more
CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
TIMEOUT, FILES_S = "MLFLOW_HTTP_REQUEST_TIMEOUT", "120"  # for a server that passes files on before it answers
DATABASES = ("postgresql", "mysql", "mssql")
REACH_S = 10.0
REST_S = 60.0  # after trouble, until the next step is written


@dataclass(slots=True)
class TrackedRun:
    """One MLflow run. Where it cannot be written to (deleted, or its server was away), a new one takes its place."""

    client: Callable[[], Any]  # made when first needed
    begin: Callable[[], str]  # a new run's id
    id: str = ""  # empty where there is none
    later_s: float = 0.0  # steps before this are not written; on the monotonic clock

    def step(self, step: int, steps: int, loss: float) -> None:
        """Record a step's loss; `retrain.training.train.OnStep` in shape."""
        if time.monotonic() >= self.later_s:
            self._keep("a step's loss", lambda run: self.client().log_metric(run, "train_loss_nats", loss, step=step))

    def metrics(self, values: Mapping[str, float]) -> None:
        """Record the metrics of the whole run."""
        at_ms = now_ms()

        def write(run: str) -> None:
            from mlflow.entities import Metric

            found = [Metric(name, value, at_ms, 0) for name, value in values.items()]
            self.client().log_batch(run, metrics=found)

        self._keep("metrics", write)

    def artifacts(self, folder: Path, name: str) -> None:
        """Copy the folder's files into the run, under that name."""
        with _unhurried():
            self._keep(name, lambda run: self.client().log_artifacts(run, str(folder), name))

    def end(self, status: str) -> None:
        """Record how the run ended."""
        if self.id:
            _tried("how the run ended", lambda: self.client().set_terminated(self.id, status))

    def _keep(self, what: str, write: Callable[[str], None]) -> None:
        """Write to this run, else to a new one, else not at all."""
        if self.id and _tried(what, lambda: write(self.id)):
            return
        _tried("a new run", self._begin_again)
        if not self.id or not _tried(what, lambda: write(self.id)):
            self.later_s = time.monotonic() + REST_S

    def _begin_again(self) -> None:
        self.id = ""
        self.id = self.begin()


@contextmanager
def run(
    store: Path,
    alias: str,
    name: str,
    parameters: Mapping[str, object],
    tags: Mapping[str, str],
    resume: Path | None = None,
    artifacts: str = "",
) -> Iterator[TrackedRun]:
    """Open a run in the experiment `alias`; it ends as FAILED where the block raises. The file `resume` keeps the run's
    id: a training that was killed goes on in the same run, as long as that exists and has the same parameters.
    `artifacts`: where files of a new experiment go; empty: where the server says, or next to the local store."""
    client = cache(partial(client_of, store))
    place = artifacts or (None if os.environ.get(URI) else (store / "artifacts").resolve().as_uri())
    texts = {key: str(value) for key, value in parameters.items()}

    def begin() -> str:
        made = client().create_run(_experiment(client(), alias, place), run_name=name, tags={**software(), **tags})
        _describe(client(), made.info.run_id, texts)
        if resume is not None:
            _tried("the run's id", lambda: resume.write_text(made.info.run_id))
        return str(made.info.run_id)

    active = TrackedRun(client, begin)
    if not (
        resume is not None and resume.is_file() and _tried("the earlier run", lambda: _go_on(active, resume, texts))
    ):
        _tried("a new run", active._begin_again)
    try:
        yield active
    except Exception:
        active.end("FAILED")
        raise
    active.end("FINISHED")


def use(uri: str) -> None:
    """Track at this address in this process and those that it starts, unless the environment names one."""
    if uri:
        os.environ.setdefault(URI, uri)


def client_of(store: Path) -> Any:
    """Return MLflow's client of the store that the environment names, else of the local one; send nothing yet."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    for key, value in PATIENCE.items():
        os.environ.setdefault(key, value)
    from mlflow import MlflowClient

    for noisy in ("alembic", "mlflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if uri := os.environ.get(URI):
        _reach(uri)
        return MlflowClient(tracking_uri=uri)
    store.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(store / "mlflow.db")) as database:  # MLflow tries for 101 s what cannot be opened
        database.execute("SELECT count(*) FROM sqlite_master")
    return MlflowClient(tracking_uri=f"sqlite:///{(store / 'mlflow.db').resolve()}")


def _reach(uri: str) -> None:
    """Raise at once where a database that is the address takes no connection: MLflow would try for 101 s, each time."""
    if uri.partition(":")[0].partition("+")[0] not in DATABASES:
        return
    import sqlalchemy

    address = sqlalchemy.make_url(uri)
    if address.host and address.port:  # drivers wait as long as the system does
        socket.create_connection((address.host, address.port), REACH_S).close()
    engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.NullPool)
    with engine.connect():
        pass


@contextmanager
def _unhurried() -> Iterator[None]:
    """Give the server time for a file, while entered, unless an operator has set another."""
    before = os.environ.get(TIMEOUT)
    if before in (None, PATIENCE[TIMEOUT]):
        os.environ[TIMEOUT] = FILES_S
    try:
        yield
    finally:
        os.environ[TIMEOUT] = before or PATIENCE[TIMEOUT]


def _experiment(client: Any, alias: str, place: str | None) -> str:
    """Return the id of the alias's experiment; where that was deleted, make another with a number in its name."""
    for number in count(1):
        name = alias if number == 1 else f"{alias} ({number})"
        found = client.get_experiment_by_name(name)
        if found is None:
            return str(client.create_experiment(name, artifact_location=place))
        if found.lifecycle_stage == "active":
            return str(found.experiment_id)
    raise AssertionError("count ends")


def _go_on(active: TrackedRun, resume: Path, texts: Mapping[str, str]) -> None:
    """Go on in the run that an earlier start began. Raises ValueError where that was deleted or has other
    parameters."""
    known = resume.read_text().strip()
    found = active.client().get_run(known)
    if found.info.lifecycle_stage != "active":
        raise ValueError(f"run {known} was deleted")
    other = {key for key in texts if found.data.params.get(key, texts[key]) != texts[key]}
    if other:
        raise ValueError(f"run {known} had another {', '.join(sorted(other))}")
    _describe(active.client(), known, texts)
    active.client().update_run(known, status="RUNNING")
    active.id = known


def _describe(client: Any, run_id: str, texts: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    client.log_batch(run_id, params=[Param(key, value) for key, value in texts.items()])


def _tried(what: str, write: Callable[[], object]) -> bool:
    """Return whether it went well. MLflow raises whatever its store, its server and its libraries raise."""
    try:
        write()
        return True
    except Exception as error:  # book-keeping's top: no training ends for it
        log.warning("MLflow did not take it", what=what, error=shown(error))
        return False


def shown(error: Exception) -> str:
    """Return an error of MLflow for a log: one line's worth, without the name and the password of an address, and
    without what the environment has for MLflow.

    >>> shown(ValueError("no answer of postgresql://ann:pass@db.example/mlflow"))
    'ValueError: no answer of postgresql://(not shown)@db.example/mlflow'
    """
    text = re.sub(r"://[^/\s@]*(?:/[^/\s@]*)?@", "://(not shown)@", str(error))
    for value in (os.environ.get(name) for name in CREDENTIALS[1:]):
        text = text.replace(value, "(not shown)") if value else text
    return f"{type(error).__name__}: {text[:300]}"
