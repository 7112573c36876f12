"""The datasets that MLflow's runs have as artifacts, replaced where an erasure took rows out of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from retrain.data.manifest import Manifest
from retrain.training.tracking import URI, client_of

DATASET = "dataset"  # the artifacts' folder, and the parameter with their digest
LISTING = "manifest.json"


def replace(store: Path, old: str, folder: Path) -> list[str]:
    """Give each run that was trained on the dataset `old` the files in `folder` instead, deleted runs included, and
    return the runs that were changed. Where no MLflow is named and none was used, there is none. Raises whatever
    MLflow's store and libraries raise; then, or after a kill, it is done again."""
    if not os.environ.get(URI) and not (store / "mlflow.db").exists():
        return []
    client, changed = client_of(store), []
    wanted = msgspec.json.decode((folder / LISTING).read_bytes(), type=Manifest).digest
    for run in _runs(client, old):
        files = [each.path for each in client.list_artifacts(run.info.run_id, DATASET)]
        if files and _digest(client, run, files) != wanted:
            _overwrite(client, run, files, folder)
            changed.append(str(run.info.run_id))
    return changed


def _overwrite(client: Any, run: Any, files: list[str], folder: Path) -> None:
    """Put the listing last: while it is the old one, a kill's half is known for what it is."""
    names = sorted(path.name for path in folder.iterdir() if path.name != LISTING)
    for name in names:
        client.log_artifact(run.info.run_id, str(folder / name), DATASET)
    for other in sorted({*files} - {f"{DATASET}/{name}" for name in [*names, LISTING]}):
        _artifacts(client, run).delete_artifacts(other)
    client.log_artifact(run.info.run_id, str(folder / LISTING), DATASET)


def _runs(client: Any, digest: str) -> Iterator[Any]:
    from mlflow.entities import ViewType

    experiments = [each.experiment_id for each in client.search_experiments(view_type=ViewType.ALL)]
    token: str | None = None
    while experiments:
        found = client.search_runs(experiments, f"params.{DATASET} = '{digest}'", ViewType.ALL, page_token=token)
        yield from found
        if not (token := found.token):
            return


def _digest(client: Any, run: Any, files: list[str]) -> str:
    """Return the digest of the dataset that a run has; empty for half of one."""
    listing = f"{DATASET}/{LISTING}"
    if listing not in files:
        return ""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(client.download_artifacts(run.info.run_id, listing, scratch))
        return msgspec.json.decode(path.read_bytes(), type=Manifest).digest


def _artifacts(client: Any, run: Any) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(run.info.artifact_uri, client.tracking_uri)
