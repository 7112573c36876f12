"""The layers that get an adapter, found in the model's outline before a weight is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain.tensor_file import contents
from retrain.training.loop.estimate import Sizes
from retrain.training.loop.outline import ENDS, EXPERTS, linear, outline, parts_left_out, pattern, untouched, within
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


@dataclass(frozen=True, slots=True)
class Targets:
    """The layers that a recipe's adapter goes on, and what it leaves as it is."""

    layers: frozenset[str]
    named: str | list[str]  # the layers, as PEFT is to look for them
    excluded: str  # a regular expression of the modules that PEFT is to pass over; empty where there are none
    untouched: dict[str, str]  # parts of the model without an adapter -> their size, and why
    sizes: Sizes


def check(model_dir: Path, lora: Lora, warm_start: Path | None = None) -> Targets:
    """Return what the adapter goes on. Raises ValueError where a name of the recipe fits no layer, or a part that gets
    no adapter, or where the adapter in `warm_start` has another shape than the recipe's."""
    model = outline(model_dir)
    parts = parts_left_out(model)
    for each in lora.target_modules if isinstance(lora.target_modules, list) else ():
        _require_layers(each, [name for name, _ in model.named_modules()], parts)
    named, excluded, sizes = _named(lora, model, parts), pattern(_with_layers(model, parts)), Sizes.of(model, parts)
    wanted = _adapted(model, shape(lora, named, excluded))
    found = Targets(wanted, named, excluded, untouched(outline(model_dir), wanted, parts), sizes)
    if warm_start is not None:
        _compare(lora, wanted, model_dir, warm_start)
    return found


def shape(lora: Lora, named: str | list[str], excluded: str) -> Any:
    """Return the recipe's adapter as PEFT has it, on the layers of that name that are not excluded."""
    from peft import LoraConfig

    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=named,
        exclude_modules=excluded or None,
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
    if strange := sorted(wanted ^ _adapted(outline(model_dir), found)):
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


def _named(lora: Lora, model: Any, parts: Mapping[str, str]) -> str | list[str]:
    """Return the recipe's layers for PEFT. In a model of experts it understands by all linear layers experts and
    routers, too: there, they are named one by one."""
    if EXPERTS not in parts.values() or isinstance(lora.target_modules, list):
        return lora.target_modules
    free = [name for name, _ in linear(model) if not any(within(name, part) for part in parts)]
    return sorted({name.rpartition(".")[2] for name in free})


def _adapted(model: Any, config: Any) -> frozenset[str]:
    """Put PEFT's adapters on the outline; return the layers that got one. Raises ValueError where it put one on a
    tensor that is no layer."""
    from peft import get_peft_model

    base = get_peft_model(model, config, low_cpu_mem_usage=True).base_model
    if base.targeted_parameter_names:
        first = sorted(base.targeted_parameter_names)[0]
        raise ValueError(
            f"lora.target_modules: PEFT would adapt {first}, which is no linear layer but experts or a router; "
            "expected names of other layers, such as q_proj"
        )
    return frozenset(base.targeted_module_names)


def _with_layers(model: Any, parts: Mapping[str, str]) -> list[str]:
    """Return the parts in which PEFT would find layers. It passes over the ends by itself."""
    layers = [name for name, _ in linear(model)]
    return [part for part, why in parts.items() if why != ENDS and any(within(name, part) for name in layers)]


def _require_layers(given: str, names: Sequence[str], parts: Mapping[str, str]) -> None:
    fitting = [name for name in names if name == given or name.endswith(f".{given}")]
    if not fitting:
        raise ValueError(
            f'lora.target_modules has "{given}", which no layer is called; expected names of linear layers'
        )
    barred = {name: why for name in fitting for part, why in parts.items() if within(name, part)}
    if ENDS in barred.values():
        raise ValueError(
            f'lora.target_modules has "{given}": the model\'s head and embeddings share their weights, or are kept '
            "whole next to the adapter, and engines load no such part; expected linear layers between them"
        )
    if len(barred) == len(fitting):
        name, why = next(iter(barred.items()))
        raise ValueError(f'lora.target_modules has "{given}", which is only in {name}: {why}; expected other layers')
