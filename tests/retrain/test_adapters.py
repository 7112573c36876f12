"""An adapter's address is its content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from retrain.adapters import commit
from streams.identity import adapter_digest, adapter_key
from streams.objects.opening import Storage
from tests.support.folder import in_folder
from tests.support.s3 import S3

MODULES = ["q_proj", "v_proj", "o_proj", "up_proj"]


def made(folder: Path, weight: float = 1.0, metadata: dict[str, str] | None = None, **config: object) -> Path:
    """An adapter as PEFT leaves it, in a folder with more."""
    folder.mkdir()
    about = {"peft_type": "LORA", "r": 8, "target_modules": MODULES, "base_model_name_or_path": "/home/me/model"}
    (folder / "adapter_config.json").write_bytes(msgspec.json.encode({**about, **config}))
    tensors = {f"layer.{i}.lora_{side}.weight": np.full((8, 4), weight + i) for i in range(5) for side in "AB"}
    save_file(tensors | {"halves": np.full(3, weight, np.float16)}, folder / "adapter_model.safetensors", metadata)
    (folder / "optimizer.pt").write_text("pickled things stay behind")
    return folder


def test_it_lies_where_its_digest_says_and_cannot_be_written(tmp_path: Path) -> None:
    adapter = commit(made(tmp_path / "new"), in_folder(tmp_path), "support", "base")
    assert adapter.path == tmp_path / "adapters" / "support" / adapter.digest
    assert adapter.version == f"support-{adapter.digest[:12]}"
    assert sorted(path.name for path in adapter.path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert all(path.stat().st_mode & 0o222 == 0 for path in adapter.path.iterdir())


def test_the_same_bytes_are_the_same_adapter(tmp_path: Path) -> None:
    one = commit(made(tmp_path / "one"), in_folder(tmp_path), "support", "base")
    assert commit(made(tmp_path / "two"), in_folder(tmp_path), "support", "base") == one


def test_other_bytes_or_another_base_model_are_another(tmp_path: Path) -> None:
    source = made(tmp_path / "one")
    digests = {
        commit(source, in_folder(tmp_path), "support", "base").digest,
        commit(source, in_folder(tmp_path), "support", "other base").digest,
        commit(made(tmp_path / "two", 2.0), in_folder(tmp_path), "support", "base").digest,
    }
    assert len(digests) == 3


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    source = made(tmp_path / "one")
    (source / "adapter_config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"adapter_config\.json: missing"):
        commit(source, in_folder(tmp_path), "support", "base")


@pytest.mark.parametrize(
    "changes",
    [
        {"target_modules": MODULES[::-1]},
        {"base_model_name_or_path": "/tmp/elsewhere"},
        {"peft_version": "9.0"},
        {"metadata": {"format": "pt", "run": "7", "host": "here", "by": "me"}},
    ],
)
def test_equal_weights_have_one_name_however_they_were_written(tmp_path: Path, changes: dict[str, Any]) -> None:
    one = commit(made(tmp_path / "one"), in_folder(tmp_path), "support", "base")
    assert commit(made(tmp_path / "two", **changes), in_folder(tmp_path), "support", "base") == one


@pytest.mark.parametrize("changes", [{"r": 16}, {"target_modules": MODULES[:3]}, {"weight": 1.5}])
def test_what_changes_an_answer_changes_the_name(tmp_path: Path, changes: dict[str, Any]) -> None:
    one = commit(made(tmp_path / "one"), in_folder(tmp_path), "support", "base")
    assert commit(made(tmp_path / "two", **changes), in_folder(tmp_path), "support", "base") != one


def test_the_order_of_tensors_in_the_file_says_nothing(tmp_path: Path) -> None:
    source = made(tmp_path / "one")
    adapter = commit(source, in_folder(tmp_path), "support", "base")
    again = made(tmp_path / "two")
    shuffle(again / "adapter_model.safetensors")
    assert (again / "adapter_model.safetensors").read_bytes() != (source / "adapter_model.safetensors").read_bytes()
    assert commit(again, in_folder(tmp_path), "support", "base") == adapter


def shuffle(path: Path) -> None:
    """Writes the tensors in the reverse order."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header, data = msgspec.json.decode(raw[8:start]), b""
    for name in sorted(set(header) - {"__metadata__"}, reverse=True):
        first, end = header[name]["data_offsets"]
        header[name]["data_offsets"] = [len(data), len(data) + end - first]
        data += raw[start + first : start + end]
    encoded = msgspec.json.encode(header)
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data)


def test_the_store_has_the_very_weights_and_no_path_of_this_machine(tmp_path: Path) -> None:
    source = made(tmp_path / "one")
    adapter = commit(source, in_folder(tmp_path), "support", "llama@0123")
    before, after = (load_file(folder / "adapter_model.safetensors") for folder in (source, adapter.path))
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    config = msgspec.json.decode((adapter.path / "adapter_config.json").read_bytes())
    assert (config["base_model_name_or_path"], config["target_modules"]) == ("llama@0123", sorted(MODULES))


def test_weights_that_are_cut_off_are_not_stored(tmp_path: Path) -> None:
    source = made(tmp_path / "one")
    weights = source / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ValueError, match="cut off"):
        commit(source, in_folder(tmp_path), "support", "base")
    assert list((tmp_path / "adapters" / "support").iterdir()) == []


def test_on_a_bucket_it_is_the_same_adapter_and_another_machine_has_it(s3: S3, tmp_path: Path) -> None:
    one, two = (Storage(s3.storage(tmp_path.name), tmp_path / name).trees(5.0) for name in ("trainer", "replica"))
    adapter = commit(made(tmp_path / "new"), one, "support", "base")
    assert adapter.digest == commit(tmp_path / "new", in_folder(tmp_path), "support", "base").digest
    found = two.fetch(adapter_key("support", adapter.digest))
    assert adapter_digest(found, "base") == adapter.digest
    assert found != adapter.path
