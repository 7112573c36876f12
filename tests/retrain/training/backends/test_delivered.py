"""What a training has delivered is believed only if engines can load it on this base model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from retrain.training.backends.delivered import check_delivered

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
pytestmark = pytest.mark.slow


@pytest.fixture
def delivered(model_dir: Path, tmp_path: Path) -> Path:
    """As PEFT saves it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(str(model_dir))
    model = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    model.save_pretrained(str(tmp_path / "adapter"))
    return tmp_path / "adapter"


def configured(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        known = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps(known | changes))

    return change


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def unreadable(folder: Path) -> None:
    (folder / CONFIG).write_text("{")


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")


def cut(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-10])


def edited(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = dict(load_file(folder / WEIGHTS))
        change(tensors)
        save_file(tensors, folder / WEIGHTS)

    return edit


def not_finite(tensors: dict[str, object]) -> None:
    name = min(tensors)
    tensors[name] = tensors[name] * float("nan")  # type: ignore[operator]


def elsewhere(tensors: dict[str, object]) -> None:
    for name in sorted(tensors)[:2]:
        tensors[name.replace("layers.0", "vision.0")] = tensors.pop(name)


MISTAKES: dict[str, tuple[Callable[[Path], None], str]] = {
    "nothing": (emptied, "no adapter; .* missing"),
    "pickles alone": (pickled, r"pickled weights alone \(adapter_model.bin\), which are never loaded"),
    "half a file": (cut, "cut off or damaged"),
    "no configuration": (unreadable, "expected PEFT's configuration"),
    "another kind": (configured(peft_type="IA3"), "peft_type is 'IA3', expected 'LORA'"),
    "another rank": (configured(r=8), r"has shape \[4, 64\], expected \[8, 64\]"),
    "no rank": (configured(r=0), "r is 0, expected 1 to"),
    "DoRA": (configured(use_dora=True), "use_dora is True, expected none"),
    "a head": (configured(modules_to_save=["lm_head"]), "modules_to_save is .*, expected none"),
    "a layer of another model": (edited(elsewhere), r"vision\.0\..* belongs to no linear layer of"),
    "half a pair": (edited(lambda tensors: tensors.pop(min(tensors))), "is missing, expected one of each side"),
    "no tensors": (edited(lambda tensors: tensors.clear()), "holds no tensors"),
    "no number": (edited(not_finite), "1 tensors hold numbers that are not finite"),
}


def test_an_adapter_as_peft_saves_it_is_taken(delivered: Path, model_dir: Path) -> None:
    check_delivered(delivered, model_dir)


@pytest.mark.parametrize("name", MISTAKES)
def test_what_no_engine_could_load_is_refused_with_its_reason(name: str, delivered: Path, model_dir: Path) -> None:
    change, why = MISTAKES[name]
    change(delivered)
    with pytest.raises((ValueError, FileNotFoundError), match=why) as found:
        check_delivered(delivered, model_dir)
    assert re.search(re.escape(str(delivered)), str(found.value))


def test_an_adapter_of_another_base_model_is_refused(delivered: Path, tmp_path: Path) -> None:
    """By its shapes; and where these agree, by the folder that it names."""
    from transformers import AutoConfig, AutoModelForCausalLM

    named = json.loads((delivered / CONFIG).read_text())["base_model_name_or_path"]
    config = AutoConfig.from_pretrained(named)
    twin, wider = tmp_path / "twin", tmp_path / "wider"
    AutoModelForCausalLM.from_config(config).save_pretrained(str(twin))
    config.hidden_size = 128
    AutoModelForCausalLM.from_config(config).save_pretrained(str(wider))
    with pytest.raises(ValueError, match=r"expected \[4, 128\] .* an adapter of another base model"):
        check_delivered(delivered, wider)
    with pytest.raises(ValueError, match="it was trained on another base model"):
        check_delivered(delivered, twin)
