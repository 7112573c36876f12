"""MLflow's copies of a dataset are replaced where rows went from it; the real MLflow, on its local store."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from retrain.data import manifest
from retrain.data.dataset import Dataset
from retrain.training import tracked_datasets
from retrain.training.tracking import URI, client_of, run
from tests.retrain.support.rows import rows
from tests.support.folder import in_folder

pytestmark = pytest.mark.slow


def stored(folder: Path, count: int) -> tuple[str, Path]:
    trees = in_folder(folder)
    dataset = Dataset(rows(count), [], [], [], {})
    digest = manifest.store(trees, dataset, alias="support", base_model="base", since_ms=0).digest
    return digest, manifest.located(trees, digest)


def test_runs_of_the_old_dataset_have_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URI, raising=False)
    store = tmp_path / "mlflow"
    (old, before), (new, after), (other, others) = (stored(tmp_path, count) for count in (9, 8, 7))
    made = []
    for digest, folder in ((old, before), (old, None), (other, others)):
        with run(store, "support", "a name", {"dataset": digest}, {}) as active:
            if folder is not None:
                active.artifacts(folder, "dataset")
        made.append(active.id)
    client = client_of(store)
    client.delete_run(made[0])  # its files are still there
    assert tracked_datasets.replace(store, old, after) == [made[0]]
    held = Path(client.download_artifacts(made[0], "dataset", str(tmp_path)))
    assert {path.name: path.read_bytes() for path in held.iterdir()} == {
        path.name: path.read_bytes() for path in after.iterdir()
    }
    assert client.list_artifacts(made[1], "dataset") == []
    assert tracked_datasets.replace(store, old, after) == []
    assert not any(old.encode() in path.read_bytes() for path in store.rglob("manifest.json"))
    assert new != old


@pytest.mark.parametrize("at", range(5))
def test_killed_between_two_files_it_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    monkeypatch.delenv(URI, raising=False)
    store = tmp_path / "mlflow"
    (old, before), (_, after) = stored(tmp_path, 9), stored(tmp_path, 8)
    with run(store, "support", "a name", {"dataset": old}, {}) as active:
        active.artifacts(before, "dataset")
    real, left = MlflowClient.log_artifact, [at]

    def dies(self: MlflowClient, *args: str) -> None:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        real(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_artifact", dies)
        with pytest.raises(KeyboardInterrupt):
            tracked_datasets.replace(store, old, after)
    assert tracked_datasets.replace(store, old, after) == [active.id]
    held = Path(client_of(store).download_artifacts(active.id, "dataset", str(tmp_path)))
    assert {path.name: path.read_bytes() for path in held.iterdir()} == {
        path.name: path.read_bytes() for path in after.iterdir()
    }


def test_where_no_mlflow_was_used_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URI, raising=False)
    assert tracked_datasets.replace(tmp_path / "mlflow", "0" * 64, stored(tmp_path, 3)[1]) == []
    assert not (tmp_path / "mlflow").exists()
