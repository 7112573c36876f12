"""What a retraining begins from."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.base_model import base_model_id, former_base_model_id
from retrain.job import stored_champion
from retrain.job_files import JobSpec
from retrain.settings import RetrainSettings
from streams.events import RetrainRequested
from streams.identity import adapter_digest, adapter_path
from tests.retrain.test_adapters import made


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
        model_dir=model_dir,
        var=var,
        engine="http://engine",
        metric="exact_match",
        parent=1,
    )


def stored(var: Path, base: str) -> str:
    """An adapter as it was stored for a base model of that name."""
    folder = made(var / "new")
    (folder / "optimizer.pt").unlink()
    digest = adapter_digest(folder, base)
    path = adapter_path(var / "adapters", "support", digest)
    path.parent.mkdir(parents=True)
    folder.rename(path)
    return digest


@pytest.mark.slow
@pytest.mark.parametrize("name", [base_model_id, former_base_model_id])
def test_a_champion_of_this_release_or_an_earlier_one_is_found(tmp_path: Path, model_dir: Path, name: object) -> None:
    digest = stored(tmp_path, name(model_dir))  # type: ignore[operator]
    found = stored_champion(spec(tmp_path, model_dir, digest), base_model_id(model_dir))
    assert found == adapter_path(tmp_path / "adapters", "support", digest)


def test_a_champion_of_another_base_model_is_refused(tmp_path: Path, model_dir: Path) -> None:
    digest = stored(tmp_path, "another@0123")
    with pytest.raises(ValueError, match="altered, or another base model's"):
        stored_champion(spec(tmp_path, model_dir, digest), base_model_id(model_dir))
