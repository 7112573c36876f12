"""A model is looked at before anything expensive starts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from retrain.base_model import base_model_id, check_model

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


@pytest.mark.parametrize("index", [{}, {"weight_map": []}, {"weight_map": {}}])
def test_an_index_that_lists_nothing_is_named(folder: Path, index: dict[str, object]) -> None:
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"model\.safetensors\.index\.json has no weight_map"):
        check_model(folder)


def test_two_sets_of_weights_are_one_too_many(folder: Path) -> None:
    """transformers trains the whole file, vLLM serves what the index lists."""
    shutil.copy(folder / WEIGHTS, folder / "model-00001-of-00001.safetensors")
    index = folder / f"{WEIGHTS}.index.json"
    index.write_text(json.dumps({"weight_map": {"one": "model-00001-of-00001.safetensors"}}))
    with pytest.raises(ValueError, match=r"both model\.safetensors and the files that .*index\.json lists"):
        check_model(folder)
    index.write_text(json.dumps({"weight_map": {"one": WEIGHTS}}))
    check_model(folder)


def same_size(path: Path) -> None:
    """Another weight in a file of the same size and header."""
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def moved(folder: Path) -> Path:
    return folder.rename(folder.with_name("elsewhere"))


def test_a_model_is_named_by_what_it_is_and_not_by_where_it_lies(folder: Path) -> None:
    before = base_model_id(folder)
    (folder / "trainer_state.json").write_text('{"stray": true}')
    (folder / "README.md").write_text("hello")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "_name_or_path": "/home/me/model"}))
    assert base_model_id(moved(folder)) == before


@pytest.mark.parametrize("name", [WEIGHTS, "tokenizer.json", "config.json", "chat_template.jinja"])
def test_other_content_is_another_model(folder: Path, name: str) -> None:
    before, path = base_model_id(folder), folder / name
    if name == WEIGHTS:
        same_size(path)
    elif name == "config.json":
        path.write_text(json.dumps({**json.loads(path.read_text()), "rope_theta": 5.0}))
    else:
        path.write_text((path.read_text() if path.is_file() else "") + " ")
    assert base_model_id(folder) != before


def test_a_digest_is_noted_until_the_file_changes(folder: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    first = base_model_id(folder, notes)
    assert base_model_id(folder, notes) == first == base_model_id(folder)
    about = (folder / WEIGHTS).stat()
    same_size(folder / WEIGHTS)
    os.utime(folder / WEIGHTS, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert base_model_id(folder, notes) == base_model_id(folder) != first


def test_a_noted_digest_is_not_made_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = base_model_id(folder, tmp_path / "notes")
    monkeypatch.setattr("hashlib.file_digest", None)
    assert base_model_id(folder, tmp_path / "notes") == first
