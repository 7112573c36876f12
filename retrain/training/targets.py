"""The layers that get an adapter, found in the model's outline before a weight is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from retrain.tensor_file import contents
from retrain.training.recipe import Lora
from streams.identity import ADAPTER_FILES

BEYOND = (  # PEFT's options that no recipe has
    "modules_to_save",
    "use_dora",
    "use_rslora",
    "rank_pattern",
    "alpha_pattern",
    "bias",
    "lora_bias",
    "target_parameters",
    "trainable_token_indices",
)


def check(model_dir: Path, lora: Lora, warm_start: Path | None = None) -> frozenset[str]:
    """Return the layers' names. Raises ValueError where a name of the recipe fits no layer, or the head or embeddings,
    or where the adapter in `warm_start` has another shape than the recipe's."""
    wanted = _layers(model_dir, shape(lora), lora)
    if warm_start is not None:
        _compare(lora, wanted, model_dir, warm_start)
    return wanted


def shape(lora: Lora) -> Any:
    """Return the recipe's adapter as PEFT has it."""
    from peft import LoraConfig

    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        task_type="CAUSAL_LM",
    )


def _compare(lora: Lora, wanted: frozenset[str], model_dir: Path, warm_start: Path) -> None:
    from peft import PeftConfig

    found = PeftConfig.from_pretrained(str(warm_start))
    found.base_model_name_or_path = None  # else PEFT warns that ours is called otherwise
    for name in BEYOND:
        if (value := getattr(found, name, None)) and value != "none":
            raise _other(f"no recipe has {name}", warm_start, f"{name} = {value!r}")
    for knob, given, its in (("r", lora.r, found.r), ("alpha", lora.alpha, found.lora_alpha)):
        if given != its:
            raise _other(f"lora.{knob} = {given}", warm_start, str(its))
    if strange := sorted(wanted ^ _layers(model_dir, found)):
        its = ", ".join(sorted(found.target_modules))
        raise _other(f"lora.target_modules = {lora.target_modules!r}", warm_start, f"{its}; not in both: {strange[0]}")
    _require_tensors(wanted, warm_start / ADAPTER_FILES[1])


def _require_tensors(layers: frozenset[str], path: Path) -> None:
    """Raise ValueError where an adapter's tensors are not those of its configuration: PEFT would begin with new ones,
    and only warn."""
    wanted = {f"base_model.model.{layer}.lora_{side}.weight" for layer in layers for side in "AB"}
    if strange := sorted(wanted ^ contents(path).keys()):
        where = "is missing" if strange[0] in wanted else "belongs to no layer of the model"
        raise ValueError(
            f"{path}: {len(strange)} tensors are not those of the recipe's layers: {strange[0]} {where}; expected the "
            'weights that its configuration names: fetch them again, or set training.warm_start = "base"'
        )


def _other(wanted: str, warm_start: Path, its: str) -> ValueError:
    return ValueError(f'{wanted}, but {warm_start} has {its}: set it so, or training.warm_start = "base"')


def _layers(model_dir: Path, config: Any, lora: Lora | None = None) -> frozenset[str]:
    """Return the layers that PEFT adapts, in a model without weights."""
    import torch
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(str(model_dir)))
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    heads = {name for name, module in model.named_modules() if module in ends}
    names = [name for name, _ in model.named_modules()]
    for each in lora.target_modules if lora and isinstance(lora.target_modules, list) else ():
        fitting = {name for name in names if name == each or name.endswith(f".{each}")}
        _require_layers(each, fitting, heads)
    return frozenset(get_peft_model(model, config, low_cpu_mem_usage=True).base_model.targeted_module_names)


def _require_layers(given: str, fitting: set[str], heads: set[str]) -> None:
    if not fitting:
        raise ValueError(
            f'lora.target_modules has "{given}", which no layer is called; expected names of linear layers'
        )
    if fitting & heads:
        raise ValueError(
            f'lora.target_modules has "{given}": the model\'s head and embeddings share their weights, or are kept '
            "whole next to the adapter, and engines load no such part; expected linear layers between them"
        )
