"""What a training has delivered, checked before it is believed: a PEFT folder of safetensors, for this base model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from monitor.canonical import UNREADABLE
from retrain.base_model import base_model_id
from retrain.tensor_file import TensorExtent, contents
from retrain.training.recipe import MOST_RANK
from retrain.training.targets import BEYOND
from streams.identity import ADAPTER_FILES

CONFIG, WEIGHTS = ADAPTER_FILES
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
LAYER, SIDES = "base_model.model.", {".lora_A.weight": 1, ".lora_B.weight": 0}  # side -> its dimension of the layer


class _AdapterConfig(msgspec.Struct):
    """What of PEFT's configuration is looked at."""

    peft_type: str
    r: int
    lora_alpha: float
    base_model_name_or_path: str | None = None


def check_delivered(folder: Path, model_dir: Path) -> None:
    """Raise FileNotFoundError or ValueError where the folder holds no adapter that engines can load on this base model:
    a file is missing, or pickled, or not whole; the adapter is of another kind or of another base model; a weight is
    not finite."""
    _require_files(folder)
    config = _config(folder / CONFIG)
    extents = contents(folder / WEIGHTS)
    _require_layers(folder / WEIGHTS, extents, config.r, model_dir)
    _require_base(folder / CONFIG, config.base_model_name_or_path or "", model_dir)
    _require_finite(folder / WEIGHTS)


def _require_files(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    missing = [name for name in ADAPTER_FILES if name not in names]
    if not missing:
        return
    pickled = [name for name in names if name.endswith(PICKLED)]
    expected = f"expected {CONFIG} and {WEIGHTS}, as PEFT's save_pretrained(..., safe_serialization=True) writes them"
    found = f"pickled weights alone ({', '.join(pickled)}), which are never loaded" if pickled else "no adapter"
    raise FileNotFoundError(f"{folder}: {found}; {', '.join(missing)} missing; {expected}")


def _config(path: Path) -> _AdapterConfig:
    try:
        known = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        found = msgspec.convert(known, _AdapterConfig)
    except UNREADABLE as error:
        raise ValueError(f"{path}: {error}; expected PEFT's configuration of a LoRA adapter") from error
    if found.peft_type != "LORA":
        raise ValueError(f"{path}: peft_type is {found.peft_type!r}, expected 'LORA', which is all that engines load")
    if not 1 <= found.r <= MOST_RANK:
        raise ValueError(f"{path}: r is {found.r}, expected 1 to {MOST_RANK}")
    for name in BEYOND:
        if (value := known.get(name)) and value != "none":
            raise ValueError(f"{path}: {name} is {value!r}, expected none: no recipe has it")
    return found


def _require_layers(path: Path, extents: dict[str, TensorExtent], rank: int, model_dir: Path) -> None:
    """Raise ValueError where a tensor fits no layer of the base model, or one of a pair is missing."""
    sizes = _layer_sizes(model_dir)
    for name, extent in sorted(extents.items()):
        side = next((each for each in SIDES if name.endswith(each)), "")
        layer = name.removeprefix(LAYER).removesuffix(side)
        wanted = sizes.get(layer) if side and name.startswith(LAYER) else None
        if wanted is None:
            raise ValueError(
                f"{path}: tensor {name} belongs to no linear layer of {model_dir}: an adapter of another base model, "
                "or of another kind than LoRA"
            )
        expected = [rank, wanted[1]] if SIDES[side] else [wanted[0], rank]
        if list(extent.shape) != expected:
            raise ValueError(
                f"{path}: tensor {name} has shape {list(extent.shape)}, expected {expected} for {model_dir}: an "
                "adapter of another base model, or of another rank than its configuration says"
            )
        other = name.removesuffix(side) + next(each for each in SIDES if each != side)
        if other not in extents:
            raise ValueError(f"{path}: tensor {other} is missing, expected one of each side for each layer")
    if not extents:
        raise ValueError(f"{path}: holds no tensors, expected those of a LoRA adapter")


def _layer_sizes(model_dir: Path) -> dict[str, tuple[int, int]]:
    """Return outputs and inputs of each linear layer, from the model's outline."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(str(model_dir)))
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            found[name] = (module.out_features, module.in_features)
        elif isinstance(module, Conv1D):
            inputs, outputs = module.weight.shape
            found[name] = (int(outputs), int(inputs))
    return found


def _require_base(path: Path, named: str, model_dir: Path) -> None:
    """Raise ValueError where the adapter names the folder of another model. A name of a hub says nothing here: programs
    write those of their own copies."""
    other = Path(named)
    if not named or not other.is_dir() or other.resolve() == model_dir.resolve():
        return
    its, ours = base_model_id(other), base_model_id(model_dir)
    if its != ours:
        raise ValueError(
            f"{path}: base_model_name_or_path is {named!r}, which is {its}, expected {ours} ({model_dir}): it was "
            "trained on another base model"
        )


def _require_finite(path: Path) -> None:
    from safetensors.torch import load_file

    from retrain.training.loop.checkpoint import not_finite

    if broken := not_finite(load_file(str(path))):
        raise ValueError(f"{path}: {len(broken)} tensors hold numbers that are not finite, {broken[0]} first")
