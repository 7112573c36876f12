"""An adapter's address is its content."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.adapters import commit


def made(folder: Path, weights: str = "weights") -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_text(weights)
    (folder / "optimizer.pt").write_text("pickled things stay behind")
    return folder


def test_it_lies_where_its_digest_says_and_cannot_be_written(tmp_path: Path) -> None:
    adapter = commit(made(tmp_path / "new"), tmp_path / "store", "support", "base")
    assert adapter.path == tmp_path / "store" / "support" / adapter.digest
    assert adapter.version == f"support-{adapter.digest[:12]}"
    assert sorted(path.name for path in adapter.path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert all(path.stat().st_mode & 0o222 == 0 for path in adapter.path.iterdir())


def test_the_same_bytes_are_the_same_adapter(tmp_path: Path) -> None:
    one = commit(made(tmp_path / "one"), tmp_path / "store", "support", "base")
    assert commit(made(tmp_path / "two"), tmp_path / "store", "support", "base") == one


def test_other_bytes_or_another_base_model_are_another(tmp_path: Path) -> None:
    source = made(tmp_path / "one")
    digests = {
        commit(source, tmp_path / "store", "support", "base").digest,
        commit(source, tmp_path / "store", "support", "other base").digest,
        commit(made(tmp_path / "two", "altered"), tmp_path / "store", "support", "base").digest,
    }
    assert len(digests) == 3


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    source = made(tmp_path / "one")
    (source / "adapter_config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"adapter_config\.json: missing"):
        commit(source, tmp_path / "store", "support", "base")
