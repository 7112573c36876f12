"""Only two files, the right bytes, and LoRA tensors ever reach an engine."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.replica.adapters import Adapters, Unfit, check, rank
from serving.routes.slots import WantedVersion
from streams.identity import adapter_key
from tests.serving.support.adapter_files import BASE, LAYER, store, weights, write
from tests.support.folder import in_folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def stored(root: Path, text: str = "one", r: int = 8) -> tuple[WantedVersion, Path]:
    version, digest = store(root, text, r=r)
    return WantedVersion("support", version, digest), (root / adapter_key("support", digest))


def test_whole_right_and_harmless_is_taken(root: Path) -> None:
    each, path = stored(root)
    adapters = Adapters(in_folder(root), BASE, 16)
    assert adapters.loadable(each) == adapters.verified(each) == path
    check(path, root / "adapters")
    assert rank(path) == 8


def test_an_adapter_of_an_earlier_release_is_known_by_the_base_models_former_name(root: Path) -> None:
    each, path = stored(root)
    assert Adapters(in_folder(root), "llama@0123", 16, former_base_model=BASE).verified(each) == path
    with pytest.raises(Unfit, match="altered, or of another base"):
        Adapters(in_folder(root), "llama@0123", 16, former_base_model="another").verified(each)


def spoil(name: str, content: bytes) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        (path / name).write_bytes(content)

    return harm


def escape(path: Path) -> None:
    elsewhere = path.parents[2] / "elsewhere"
    (path / "adapter_model.safetensors").rename(elsewhere)
    (path / "adapter_model.safetensors").symlink_to(elsewhere)


def escape_whole(path: Path) -> None:
    path.rename(path.parents[2] / "folder")
    path.symlink_to(path.parents[2] / "folder")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (escape, r"safetensors: leads to .*elsewhere, outside of"),
        (escape_whole, r"leads to .*folder, outside of"),
        (spoil("adapter_model.bin", pickle.dumps([1])), r"adapter_model\.bin: a pickle runs code"),
        (spoil("training_args.pt", b""), r"training_args\.pt: a pickle runs code"),
        (spoil("optimizer.pkl", b"x"), r"optimizer\.pkl: a pickle runs code"),
        (spoil("tokenizer.json", b"{}"), r"tokenizer\.json: its bytes are in no digest"),
        (spoil("adapter_model.safetensors", b""), "no safetensors file: a header of 0 bytes in 0"),
        (spoil("adapter_model.safetensors", b"\x80\x04" + b"\0" * 40), "no safetensors file"),
        (spoil("adapter_model.safetensors", (9).to_bytes(8, "little") + b"not json!"), "no safetensors file"),
        (spoil("adapter_model.safetensors", (4).to_bytes(8, "little") + b"[12]"), "its header is list"),
        (spoil("adapter_model.safetensors", (2).to_bytes(8, "little") + b"{}"), "has no tensors"),
        (spoil("adapter_model.safetensors", weights("x")[:-1]), "data within the file's 127 bytes"),
        (spoil("adapter_model.safetensors", weights("x", names=("weight", "lora_B.weight"))), "expected a LoRA's"),
        (spoil("adapter_model.safetensors", weights("x", extra={"evil": 1})), "tensor 'evil', expected a LoRA's"),
        (
            spoil("adapter_model.safetensors", weights("x", extra={f"{LAYER}.lora_A.weight": 1})),
            "expected two or three",
        ),
    ],
)
def test_what_an_engine_must_not_read_is_named(root: Path, harm: Callable[[Path], None], message: str) -> None:
    each, path = stored(root)
    harm(path)
    with pytest.raises(Unfit, match=message):
        Adapters(in_folder(root), BASE, 16).loadable(each)


def test_other_bytes_are_refused_and_the_right_ones_taken_again(root: Path) -> None:
    each, path = stored(root)
    adapters, right = Adapters(in_folder(root), BASE, 16), weights("one")
    assert adapters.verified(each)
    (path / "adapter_model.safetensors").write_bytes(weights("other"))
    for _ in range(2):
        with pytest.raises(Unfit, match="altered, or of another base"):
            adapters.verified(each)
    (path / "adapter_model.safetensors").write_bytes(right)
    assert adapters.verified(each)


def test_unchanged_bytes_are_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    each, _ = stored(root)
    adapters = Adapters(in_folder(root), BASE, 16)
    adapters.verified(each)
    monkeypatch.setattr("serving.replica.adapters.adapter_digest", lambda *_: "0" * 64)
    assert adapters.verified(each)


def test_a_version_of_another_digest_is_refused(root: Path) -> None:
    each, _ = stored(root)
    with pytest.raises(Unfit, match="do not belong together"):
        Adapters(in_folder(root), BASE, 16).verified(WantedVersion("support", "support-000000000000", each.digest))


@pytest.mark.parametrize(
    ("config", "found"),
    [({"r": 8}, 8), ({"r": 8, "rank_pattern": {"q_proj": 32}}, 32), ({"r": 8, "rank_pattern": None}, 8)],
)
def test_the_highest_rank_counts(tmp_path: Path, config: dict[str, object], found: int) -> None:
    folder = write(tmp_path / "a")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    assert rank(folder) == found


def test_the_tensors_tell_too(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", r=64)
    (folder / "adapter_config.json").write_text('{"r": 8}')
    assert rank(folder) == 64


@pytest.mark.parametrize(
    "config", ["{}", '{"r": 0}', '{"r": true}', '{"r": "8"}', "[]", "{", '{"r": 8, "rank_pattern": 3}']
)
def test_a_configuration_without_a_rank_is_named(tmp_path: Path, config: str) -> None:
    folder = write(tmp_path / "a")
    (folder / "adapter_config.json").write_text(config)
    with pytest.raises(Unfit, match="adapter_config"):
        rank(folder)


def test_a_rank_above_the_engines_is_refused_with_both_numbers(root: Path) -> None:
    each, _ = stored(root, r=32)
    with pytest.raises(Unfit, match="its rank is 32, max_lora_rank is 16"):
        Adapters(in_folder(root), BASE, 16).verified(each)
    assert Adapters(in_folder(root), BASE, 32).verified(each)
