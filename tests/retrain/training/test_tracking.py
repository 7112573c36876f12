"""Book-keeping that fails fails no work: the real MLflow, with what happens to it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from retrain.training import tracking
from retrain.training.tracking import URI, run

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URI, raising=False)


def client(store: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{store / 'mlflow.db'}")


def train(store: Path, resume: Path | None = None, **parameters: object) -> str:
    """A training's run, start to end."""
    with run(store, "support", "a name", parameters or {"r": 16}, {"request": "r1"}, resume) as active:
        active.step(1, 2, 0.5)
        active.metrics({"loss": 0.25})
    return active.id


def test_the_settings_name_a_server_where_the_environment_names_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URI, f"sqlite:///{tmp_path / 'environment.db'}")
    tracking.use(f"sqlite:///{tmp_path / 'settings.db'}")
    assert os.environ[URI].endswith("environment.db")
    monkeypatch.delenv(URI)
    tracking.use("")
    assert URI not in os.environ
    tracking.use(f"sqlite:///{tmp_path / 'settings.db'}")
    train(tmp_path / "store")
    assert (tmp_path / "settings.db").is_file()
    assert not (tmp_path / "store").exists()


def test_a_run_has_what_was_told(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "weights").write_text("w")
    with run(tmp_path, "support", "a name", {"r": 16}, {"request": "r1"}) as active:
        active.step(1, 2, 0.5)
        active.step(2, 2, 0.25)
        active.metrics({"left_out_share": 0.1})
        active.artifacts(tmp_path / "adapter", "adapter")
    found = client(tmp_path).get_run(active.id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "a name")
    assert (found.data.params, found.data.tags["request"]) == ({"r": "16"}, "r1")
    assert {"git_commit", "torch", "peft"} <= set(found.data.tags)
    assert found.data.metrics == {"train_loss_nats": 0.25, "left_out_share": 0.1}
    assert [file.path for file in client(tmp_path).list_artifacts(active.id, "adapter")] == ["adapter/weights"]


def test_a_training_that_raises_is_a_failed_run(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), run(tmp_path, "support", "a name", {}, {}) as active:
        _ = 1 / 0
    assert client(tmp_path).get_run(active.id).info.status == "FAILED"


def test_who_was_killed_goes_on_in_the_same_run(tmp_path: Path) -> None:
    resume = tmp_path / "mlflow_run"
    assert train(tmp_path, resume) == train(tmp_path, resume) == resume.read_text()


def test_a_deleted_experiment_is_left_alone_and_another_made(tmp_path: Path) -> None:
    """At first MLflow's refusal ended the retraining."""
    first = train(tmp_path)
    client(tmp_path).delete_experiment(client(tmp_path).get_run(first).info.experiment_id)
    second, third = train(tmp_path), train(tmp_path)
    ids = [client(tmp_path).get_run(each).info.experiment_id for each in (second, third)]
    assert [client(tmp_path).get_experiment(each).name for each in ids] == ["support (2)"] * 2


def test_a_deleted_run_is_replaced(tmp_path: Path) -> None:
    resume = tmp_path / "mlflow_run"
    first = train(tmp_path, resume)
    client(tmp_path).delete_run(first)
    second = train(tmp_path, resume)
    assert second != first
    assert resume.read_text() == second
    assert client(tmp_path).get_run(second).data.metrics["loss"] == 0.25


def test_a_run_deleted_in_the_midst_of_its_training_is_replaced(tmp_path: Path) -> None:
    with run(tmp_path, "support", "a name", {"r": 16}, {}) as active:
        first = active.id
        client(tmp_path).delete_run(first)
        active.step(1, 2, 0.5)
        active.metrics({"loss": 0.25})
    assert active.id != first
    assert client(tmp_path).get_run(active.id).data.metrics == {"train_loss_nats": 0.5, "loss": 0.25}


@pytest.mark.parametrize("left", ["", "no such run", "0" * 32, "\x00\x01"])
def test_a_note_of_a_run_that_is_none_is_no_hindrance(tmp_path: Path, left: str) -> None:
    resume = tmp_path / "mlflow_run"
    resume.write_text(left)
    assert train(tmp_path, resume) == resume.read_text() != left


def test_a_recipe_changed_meanwhile_is_a_run_of_its_own(tmp_path: Path) -> None:
    """Parameters of a run cannot be changed: at first a retraining that was paused meanwhile could never go on."""
    resume = tmp_path / "mlflow_run"
    first = train(tmp_path, resume, r=16, rate=1e-3)
    second = train(tmp_path, resume, r=16, rate=5e-4)
    assert second != first
    assert client(tmp_path).get_run(first).data.params["rate"] == "0.001"
    assert client(tmp_path).get_run(second).data.params["rate"] == "0.0005"


def test_the_environments_store_is_taken_and_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    monkeypatch.setenv(URI, f"sqlite:///{theirs / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    made = train(tmp_path / "ours")
    assert os.environ[URI] == f"sqlite:///{theirs / 'mlflow.db'}"
    assert client(theirs).get_run(made).data.metrics["loss"] == 0.25
    assert not (tmp_path / "ours").exists()


def test_the_local_store_is_named_to_nobody_else(tmp_path: Path) -> None:
    train(tmp_path)
    assert URI not in os.environ


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "sqlite:////proc/no/such/place.db", "nonsense://x"])
def test_a_store_that_is_away_costs_a_training_no_more_than_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv(URI, uri)
    for key in tracking.PATIENCE:
        monkeypatch.delenv(key, raising=False)
    began = time.monotonic()
    with run(tmp_path, "support", "a name", {"r": 16}, {}, tmp_path / "mlflow_run") as active:
        for step in range(500):
            active.step(step, 500, 0.5)
        active.metrics({"loss": 0.25})
        active.artifacts(tmp_path, "adapter")
    assert active.id == ""
    assert time.monotonic() - began < 60


def test_an_mlflow_that_cannot_be_imported_ends_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an update of a library that it needs."""
    for name in ("mlflow", "mlflow.entities"):
        monkeypatch.setitem(sys.modules, name, None)
    assert train(tmp_path) == ""


def test_a_database_that_cannot_be_opened_costs_a_training_no_time(tmp_path: Path) -> None:
    """Another user's, a full disk's: MLflow waited 101 s for it, at the beginning and after every minute's step."""
    (tmp_path / "mlflow.db").mkdir()
    began = time.monotonic()
    with tracking.run(tmp_path, "support", "one", {}, {}) as run:
        run.step(1, 2, 0.5)
        run.metrics({"loss": 0.5})
    assert time.monotonic() - began < 30
