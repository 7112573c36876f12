"""What a retraining begins from."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from retrain.base_model import base_model_id, former_base_model_id
from retrain.data import manifest
from retrain.data.dataset import Dataset
from retrain.data.manifest import Manifest
from retrain.job_files import JobSpec, read, write
from retrain.job_rows import _made, _stored_judged
from retrain.job_steps import stored_champion
from retrain.settings import RetrainSettings
from streams.events import RetrainRequested
from streams.identity import adapter_digest, adapter_key
from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings
from streams.objects.store import StorageError
from tests.retrain.support.rows import rows
from tests.retrain.test_adapters import made
from tests.support.folder import in_folder
from tests.support.s3 import DENIED, S3


def spec(var: Path, model_dir: Path, champion_digest: str) -> JobSpec:
    request = RetrainRequested(
        id="r1",
        alias="support",
        champion=f"support-{champion_digest[:12]}",
        time_ms=0,
        alarm_id="a1",
        since_ms=0,
        reason="labels prove harm",
    )
    return JobSpec(
        request=request,
        settings=RetrainSettings(),
        champion_digest=champion_digest,
        model=model_dir.as_uri(),
        var=var,
        engine="http://engine",
        metric="exact_match",
    )


def stored(var: Path, base: str) -> str:
    """An adapter as it was stored for a base model of that name."""
    folder = made(var / "new")
    (folder / "optimizer.pt").unlink()
    digest = adapter_digest(folder, base)
    path = var / adapter_key("support", digest)
    path.parent.mkdir(parents=True)
    folder.rename(path)
    return digest


@pytest.mark.parametrize("name", [base_model_id, former_base_model_id])
def test_a_champion_of_this_release_or_an_earlier_one_is_found(tmp_path: Path, model_dir: Path, name: object) -> None:
    digest = stored(tmp_path, name(model_dir))  # type: ignore[operator]
    found = stored_champion(spec(tmp_path, model_dir, digest), base_model_id(model_dir))
    assert found == (tmp_path / adapter_key("support", digest))


def test_a_champion_of_another_base_model_is_refused(tmp_path: Path, model_dir: Path) -> None:
    digest = stored(tmp_path, "another@0123")
    with pytest.raises(ValueError, match="altered, or another base model's"):
        stored_champion(spec(tmp_path, model_dir, digest), base_model_id(model_dir))


def test_a_job_reads_the_store_as_its_trainer_knows_it(tmp_path: Path, model_dir: Path) -> None:
    storage = StorageSettings(url="s3://bucket/p", cache=Path("here"), options={"region": "r"}).absolute()
    order = msgspec.structs.replace(spec(tmp_path, model_dir, "0" * 64), storage=storage)
    write(tmp_path / "job.json", order)
    assert read(tmp_path / "job.json", JobSpec) == order
    assert order.trees().home == Path("here").resolve()


def test_a_job_whose_dataset_is_out_of_reach_makes_no_other_one(s3: S3, tmp_path: Path) -> None:
    (tmp_path / "dataset").write_text("0" * 64)
    s3.for_ever = DENIED
    with pytest.raises(StorageError, match="AccessDenied"):
        _made(Storage(s3.storage(tmp_path.name), tmp_path).trees(0.3), tmp_path / "dataset")
    s3.for_ever = None
    assert _made(Storage(s3.storage(tmp_path.name), tmp_path).trees(0.3), tmp_path / "dataset") is None


def test_a_job_that_dies_leaves_no_rows_of_which_it_is_not_known_who_was_judged_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees, of = in_folder(tmp_path), Manifest("0" * 64, "support", "base", 5, {}, {})

    def dies(*_: object, **__: object) -> Manifest:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(manifest, "store", dies)
        with pytest.raises(KeyboardInterrupt):
            _stored_judged(trees, "support-00000000000a", Dataset([], [], rows(9), [], {}), of)
    known = manifest.judged(trees)
    listed = _stored_judged(trees, "support-00000000000a", Dataset([], [], rows(9), [], {}), of)
    assert known == manifest.judged(trees) == {listed.digest: ["support-00000000000a"]}
    assert manifest.versions(trees) == []
