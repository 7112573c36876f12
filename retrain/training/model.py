"""The model to train: a frozen base model in 4 bits with low-rank adapters on its linear layers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from retrain.training import targets
from retrain.training.recipe import Quantisation, Recipe
from retrain.training.targets import Targets


def build(
    model_dir: Path,
    recipe: Recipe,
    device: torch.device,
    warm_start: Path | None = None,
    checked: Targets | None = None,
) -> Any:
    """Return the model, ready to train, with new adapters or with a copy of the adapter in the folder `warm_start`.

    The dropout is the recipe's. `checked`: what `targets.check` found, where the caller has it. Raises ValueError where
    the model lacks the recipe's layers, or where the adapter has other layers, another rank or another scale than the
    recipe."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it recommends faster kernels that are not needed
    from peft import PeftConfig, PeftModel, get_peft_model
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # seconds of it, in the midst of ours

    found = checked or targets.check(model_dir, recipe.lora, warm_start)
    base = _base(model_dir, recipe, device)
    if recipe.training.recomputes(found.sizes.parameters):
        base.gradient_checkpointing_enable({"use_reentrant": False})
        base.enable_input_require_grads()
    if warm_start is None:
        return get_peft_model(base, targets.shape(recipe.lora, found.named, found.excluded)).train()
    config = PeftConfig.from_pretrained(str(warm_start))
    config.lora_dropout = recipe.lora.dropout
    config.base_model_name_or_path = str(model_dir)  # the store has its id, which is looked for on a hub
    return PeftModel.from_pretrained(base, str(warm_start), config=config, is_trainable=True).train()


def compute_dtype(quantisation: Quantisation, device: torch.device) -> torch.dtype:
    """Return the recipe's type, or float32 on a CPU (bfloat16 is slow or missing there) and bfloat16 on a GPU."""
    chosen = quantisation.compute_dtype
    if chosen == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if chosen == "bfloat16" else torch.float32


def _base(model_dir: Path, recipe: Recipe, device: torch.device) -> Any:
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    dtype = compute_dtype(recipe.quantisation, device)
    bits = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=recipe.quantisation.type,
        bnb_4bit_use_double_quant=recipe.quantisation.double,
        bnb_4bit_compute_dtype=dtype,
    )
    options = {"quantization_config": bits} if recipe.quantisation.enabled else {}
    model, report = AutoModelForCausalLM.from_pretrained(
        str(model_dir),
        dtype=dtype,
        device_map={"": str(device)},
        attn_implementation="sdpa",
        output_loading_info=True,
        **options,
    )
    _require_whole(model_dir, sorted(report["missing_keys"]))
    model.config.use_cache = False
    return model.requires_grad_(False)


def _require_whole(model_dir: Path, missing: Sequence[str]) -> None:
    """Raise ValueError where tensors are missing: the library would fill them with random numbers, and only warn."""
    if missing:
        raise ValueError(
            f"model {model_dir}: {len(missing)} tensors are missing from its weights, {missing[0]} first, which its "
            "config.json asks for; fetch weights and configuration again, of the same model"
        )
