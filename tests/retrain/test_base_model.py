"""A model is looked at before anything expensive starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from retrain.base_model import check_model

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32\nsize 1073\n"
)
WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(model_dir: Path, tmp_path: Path) -> Path:
    """A copy, to be spoiled."""
    return shutil.copytree(model_dir, tmp_path / "model")


def test_a_whole_model_is_fit(folder: Path) -> None:
    check_model(folder)


def test_a_cut_off_shard_is_named(folder: Path) -> None:
    weights = folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"model\.safetensors: \d+ bytes, expected \d+ by its header: cut off"):
        check_model(folder)


@pytest.mark.parametrize("left", [0, 4, 200])
def test_a_header_that_is_cut_off_is_named(folder: Path, left: int) -> None:
    weights = folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:left])
    with pytest.raises(ValueError, match=r"model\.safetensors: \d+ bytes are too few for its header"):
        check_model(folder)


def test_what_is_no_safetensors_file_is_named(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((4).to_bytes(8, "little") + b"PK\3\4")
    with pytest.raises(ValueError, match=r"model\.safetensors: its header cannot be read"):
        check_model(folder)


@pytest.mark.parametrize("name", [WEIGHTS, "tokenizer.json", "config.json"])
def test_a_pointer_of_git_lfs_is_told_from_the_file(folder: Path, name: str) -> None:
    (folder / name).write_bytes(POINTER)
    with pytest.raises(ValueError, match=rf"{name}.* a Git LFS pointer.*`git lfs pull`"):
        check_model(folder)


def test_a_tokenizer_that_is_cut_off_is_named(folder: Path) -> None:
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"tokenizer\.json cannot be read"):
        check_model(folder)


def test_a_shard_that_lacks_is_named(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    shards = {"one": "model-00001-of-00002.safetensors", "two": "model-00002-of-00002.safetensors"}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(FileNotFoundError, match=r"model-00002-of-00002\.safetensors missing, which"):
        check_model(folder)
