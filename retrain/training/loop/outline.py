"""A model's outline: its modules without a weight, and the parts of it that no adapter touches."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ENDS = "engines load no adapter of head and embeddings"
BEYOND_TEXT = "no part of the language model, which is all that adapters are served for"
EXPERTS = "experts: engines differ in which adapters of them they load"
ROUTERS = "routers of experts: engines load no adapter of them"
TAKEN = "PEFT takes layers of this name for the experts' in a model that has experts"
CHOICE = "the recipe's lora.target_modules does not name them"
TAKEN_NAMES = ("gate_proj", "up_proj", "down_proj", "w1", "w2", "w3", "gate")  # PEFT's, for experts in one tensor
ROUTER_NAMES = ("gate", "router", "shared_expert_gate")  # of layers beside experts
NUMBER = re.compile(r"\.\d+(?=\.|$)")


def outline(model_dir: Path) -> Any:
    """Return the model in the folder, on PyTorch's device "meta": shapes and names, no weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(str(model_dir)))


def parts_left_out(model: Any) -> dict[str, str]:
    """Return the parts that get no adapter, each by its module's name, with the reason: head and embeddings, all that
    is no part of the language model (towers for pictures and sound, projectors), experts and their routers, and layers
    next to experts that PEFT would confuse with them."""
    names = {module: name for name, module in model.named_modules()}
    ends = [module for module in (model.get_input_embeddings(), model.get_output_embeddings()) if module is not None]
    decoder = names.get(model.get_decoder(), "")
    found = {names[module]: ENDS for module in ends}
    for name, module in model.named_modules():
        if any(within(name, part) for part in found):
            continue
        if name and _beyond(name, decoder):
            found[name] = BEYOND_TEXT
        elif "experts" in name.rpartition(".")[2] or type(module).__name__.endswith("Experts"):
            found[name] = EXPERTS
        elif type(module).__name__.endswith("Router") or _routes(module, name, model):
            found[name] = ROUTERS
    if EXPERTS in found.values():
        layers = [name for name, _ in linear(model) if not any(within(name, part) for part in found)]
        found |= {name: TAKEN for name in layers if name.rpartition(".")[2] in TAKEN_NAMES}
    return found


def untouched(model: Any, layers: Iterable[str], parts: Mapping[str, str]) -> dict[str, str]:
    """Return all matrices of the model without an adapter, summed by the part that they belong to: the part's name,
    with `*` for a layer's number, -> how many parameters, and why."""
    counts: Counter[tuple[str, str]] = Counter()
    adapted = set(layers)
    for name, module in model.named_modules():
        size = sum(weight.numel() for weight in module.parameters(recurse=False) if weight.dim() > 1)
        if size and name not in adapted:
            part = next((each for each in parts if within(name, each)), name)
            counts[NUMBER.sub(".*", part), parts.get(part, CHOICE)] += size
    return {part: f"{size:,} parameters; {why}" for (part, why), size in sorted(counts.items())}


def pattern(parts: Iterable[str]) -> str:
    """Return a regular expression that fits the names of all modules in these parts.

    >>> pattern(["model.vision", "model.layers.0.mlp.experts", "model.layers.1.mlp.experts"])
    '(model\\\\.layers\\\\.\\\\d+\\\\.mlp\\\\.experts|model\\\\.vision)(\\\\..*)?'
    """
    each = {r"\.\d+".join(map(re.escape, NUMBER.split(part))) for part in parts}
    return f"({'|'.join(sorted(each))})(\\..*)?" if each else ""


def within(name: str, part: str) -> bool:
    """Return whether the module is the part, or in it."""
    return name == part or name.startswith(f"{part}.")


def linear(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the linear layers, by name."""
    import torch

    return ((name, module) for name, module in model.named_modules() if isinstance(module, torch.nn.Linear))


def _beyond(name: str, decoder: str) -> bool:
    """Return whether a module has nothing to do with the decoder: it is not in it, and does not hold it."""
    return bool(decoder) and not within(name, decoder) and not within(decoder, name)


def _routes(module: Any, name: str, model: Any) -> bool:
    parent, _, own = name.rpartition(".")
    return own in ROUTER_NAMES and any("experts" in child for child, _ in model.get_submodule(parent).named_children())
