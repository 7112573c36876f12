"""MLflow on PostgreSQL and S3, as teams run it: our runs, versions and approvals; and a server that goes away."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from deploy.stack.ports import free
from retrain.registry.follower import RegistryFollower
from retrain.registry.versions import ordered
from retrain.training.tracking import URI, client_of, run
from streams.events import DecisionRecorded
from tests.retrain.registry.test_mirror import FIRST, NEW, OLD, SECOND, made, route, seen
from tests.retrain.support.mlflow_server import served
from tests.support import postgres
from tests.support.s3 import BUCKET, KEYS, S3, server

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(1800)]
DRIVER = "postgresql+pg8000"


@pytest.fixture(scope="module")
def bucket() -> Iterator[S3]:
    with server() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "MLFLOW_S3_ENDPOINT_URL": running.url, "AWS_REGION": "us-east-1"}.items():
            patch.setenv(name, value)
        yield running


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.served("mlflow") as address:
        yield f"{DRIVER}://{address}"


@pytest.fixture(scope="module")
def place(database: str, bucket: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A server that tests may end and start again."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free()[0]
    again = partial(served, folder, port, database, f"s3://{BUCKET}/served")
    starting = again()
    here: dict[str, Any] = {"uri": starting.__enter__(), "server": starting, "again": again}
    yield here
    here["server"].__exit__(None, None, None)


def trained(folder: Path, alias: str, artifacts: str = "") -> str:
    """A training's run with an adapter, a dataset and a card."""
    card = folder / "card"
    card.mkdir(exist_ok=True)
    (card / "card.html").write_text("<h1>a card</h1>")
    with run(folder / "store", alias, "a run", {"r": 16}, {"request": "r1"}, folder / "resume", artifacts) as active:
        active.step(1, 2, 0.5)
        active.metrics({"loss": 0.25})
        for name in ("adapter", "card"):
            active.artifacts(card, name)
    return active.id


def checked(client: Any, run_id: str, folder: Path, bucket: S3, prefix: str) -> None:
    found = client.get_run(run_id)
    assert found.info.status == "FINISHED"
    assert found.data.metrics == {"train_loss_nats": 0.5, "loss": 0.25}
    text = Path(client.download_artifacts(run_id, "card/card.html", str(folder))).read_text()
    assert text == "<h1>a card</h1>"
    assert bucket.requests("PUT", f"/{BUCKET}/{prefix}")


def test_runs_versions_and_approvals_on_a_server(
    place: dict[str, Any], bucket: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URI, place["uri"])
    with structlog.testing.capture_logs() as logged:
        run_id = trained(tmp_path, "support")
    assert logged == []
    client = client_of(tmp_path / "store")
    checked(client, run_id, tmp_path, bucket, "served/")
    order = ordered([route(1), route(2, canary=SECOND)], [made(run_id)], approvals=True)
    recorded = list[DecisionRecorded]()
    follower = RegistryFollower(lambda: order, lambda: [made(run_id)], recorded.append, rest_s=0.0)
    follower.turn(0.0, threading.Event())
    numbers, aliases = seen(client)
    assert sorted(numbers.values()) == [OLD, NEW]
    assert aliases == {"champion": OLD, "challenger": NEW}
    (number,) = [number for number, digest in numbers.items() if digest == NEW]
    client.set_model_version_tag("support", number, "approved_by", "ann")
    client.set_registered_model_alias("support", "approved", number)
    for now_s in (100.0, 200.0):
        follower.turn(now_s, threading.Event())
    assert [each.inputs["by"] for each in recorded] == ["mlflow/ann"]
    assert client.get_model_version("support", number).source == f"runs:/{run_id}/adapter"
    assert FIRST in {each.tags["version"] for each in client.search_model_versions("name = 'support'")}


def test_a_database_is_an_address_too_and_its_password_is_in_no_log(
    database: str, bucket: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URI, database)
    with structlog.testing.capture_logs() as logged:
        run_id = trained(tmp_path, "direct", f"s3://{BUCKET}/direct")
    assert logged == []
    checked(client_of(tmp_path / "store"), run_id, tmp_path, bucket, "direct/")
    folder = tmp_path / "wrong"
    folder.mkdir()
    monkeypatch.setenv(URI, database.replace(postgres.PASSWORD, "hunter3"))
    with structlog.testing.capture_logs() as logged:
        trained(folder, "direct")
        RegistryFollower(lambda: ordered([route(1)], []), list, list[DecisionRecorded]().append).turn(
            0.0, threading.Event()
        )
    assert {each["event"] for each in logged} >= {"MLflow did not take it"}
    assert "hunter" not in json.dumps(logged, default=str)


def test_a_server_that_goes_away_during_a_job_ends_no_job(
    place: dict[str, Any], bucket: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URI, place["uri"])
    monkeypatch.setattr("retrain.training.tracking.REST_S", 0.0)
    with (
        structlog.testing.capture_logs() as logged,
        run(tmp_path / "store", "away", "a run", {"r": 16}, {}, tmp_path / "resume") as active,
    ):
        first = active.id
        active.step(1, 4, 0.5)
        place["server"].__exit__(None, None, None)
        active.step(2, 4, 0.4)
        assert any(each["event"] == "MLflow did not take it" for each in logged)
        place["server"] = place["again"]()
        place["server"].__enter__()
        active.step(3, 4, 0.3)
        active.metrics({"loss": 0.25})
    client = client_of(tmp_path / "store")
    found = client.get_run(active.id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"train_loss_nats": 0.3, "loss": 0.25})
    assert client.get_run(first).data.metrics["train_loss_nats"] in (0.3, 0.5)
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
