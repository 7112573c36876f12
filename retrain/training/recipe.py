"""Recipes: every knob of a training, from a TOML file, checked as a whole before anything expensive starts."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.files import utf8
from streams.identity import LORA_RANKS

RECIPES = Path(__file__).with_name("recipes")
SMALL = RECIPES / "small.toml"
FORMER = {"qlora": "small"}  # name in earlier releases -> name
MOST_RANK = LORA_RANKS[-1]
LARGE = 3_000_000_000  # parameters, from which on activations are recomputed unless the recipe says otherwise
HEADS = ("lm_head", "embed_out", "embed_in", "embed_tokens", "word_embeddings", "wte", "wpe")  # usual names of them

Table = Mapping[str, Any]
Problem = str


class RecipeError(ValueError):
    """The recipe cannot be used; the message lists everything that is wrong with it."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join([f"{source}: {len(problems)} problem(s)", *(f"  - {p}" for p in problems)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """The format of the frozen weights."""

    enabled: bool
    type: str
    double: bool
    compute_dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """The adapter's shape."""

    r: int
    alpha: int
    dropout: float
    target_modules: str | list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The course of the training."""

    learning_rate: float
    warm_learning_rate: float
    warmup_steps: int
    schedule: str
    weight_decay: float
    max_grad_norm: float
    epochs: float
    min_steps: int
    max_steps: int
    batch_size: int
    gradient_accumulation: int
    max_length: int
    gradient_checkpointing: bool | str
    validation_share: float
    validation_steps: int
    patience: int
    warm_start: str
    seed: int
    checkpoint_steps: int

    def recomputes(self, parameters: int) -> bool:
        """Return whether a model of so many parameters recomputes its activations in the backward pass."""
        return parameters >= LARGE if self.gradient_checkpointing == "auto" else bool(self.gradient_checkpointing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All knobs of a training; `recipes/small.toml` explains each."""

    name: str
    quantisation: Quantisation
    lora: Lora
    training: Training


@dataclass(frozen=True, slots=True)
class Knob:
    """The condition that a value must meet."""

    holds: Callable[[Any], bool]
    expected: str


def find(name: str, max_rank: int = MOST_RANK) -> Recipe:
    """Return the recipe of that name in `recipes`, or the one in the TOML file of that path. Raises RecipeError, too
    where its rank is higher than the `max_rank` of the engines that will serve the adapter."""
    known = RECIPES / f"{FORMER.get(name, name)}.toml"
    path = known if known.is_file() else Path(name)
    found = load(path)
    if found.lora.r > max_rank:
        expected = f"expected at most {max_rank}, the engines' --max-lora-rank (stack.max_lora_rank): raise that first"
        raise RecipeError(str(path), [f"lora.r = {found.lora.r}; {expected}"])
    return found


def load(path: Path = SMALL) -> Recipe:
    """Read the recipe in a TOML file. Raises RecipeError, which names each problem's field, value and expectation."""
    try:
        table = tomllib.loads(utf8(path.read_bytes()))
    except OSError as error:
        raise RecipeError(
            str(path), [f"cannot be read: {error.strerror}; expected {_names()}, or a file like {SMALL.name}"]
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise RecipeError(str(path), [f"is not TOML: {error}"]) from error
    return parse(table, str(path))


def parse(table: Table, source: str = "recipe") -> Recipe:
    """Return the recipe in a table. Raises RecipeError as `load`."""
    problems = [*_unknown(table), *_wrong(table)]
    if problems:
        raise RecipeError(source, problems)
    return Recipe(
        name=table["name"],
        quantisation=Quantisation(**table["quantisation"]),
        lora=Lora(**table["lora"]),
        training=Training(**table["training"]),
    )


def _names() -> str:
    return ", ".join(sorted(path.stem for path in RECIPES.glob("*.toml")))


def _wrong(table: Table) -> list[Problem]:
    found = []
    for key, knob in KNOBS.items():
        value = _get(table, key)
        if value is _MISSING:
            found.append(f"{key} is missing; expected {knob.expected}")
        elif not knob.holds(value):
            found.append(f"{key} = {value!r}; expected {knob.expected}")
    fewest, most = (_get(table, f"training.{name}") for name in ("min_steps", "max_steps"))
    if not found and fewest > most:
        found.append(f"training.min_steps = {fewest!r}; expected at most training.max_steps ({most})")
    return found


def _unknown(table: Table) -> list[Problem]:
    flat = [
        f"{key}.{inner}" if isinstance(value, dict) else key
        for key, value in table.items()
        for inner in (value if isinstance(value, dict) else (key,))
    ]
    return [f"{key}: unknown; expected one of {', '.join(KNOBS)}" for key in flat if key not in KNOBS]


_MISSING = object()


def _get(table: Table, key: str) -> Any:
    value: Any = table
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return _MISSING
        value = value[part]
    return value


def _one_of(*options: str) -> Knob:
    return Knob(lambda value: value in options, "one of " + ", ".join(f'"{option}"' for option in options))


def _whole(least: int) -> Knob:
    return Knob(lambda value: type(value) is int and value >= least, f"a whole number, {least} or more")


def _number(holds: Callable[[float], bool], expected: str) -> Knob:
    return Knob(lambda value: type(value) in (int, float) and math.isfinite(value) and holds(value), expected)


def _modules(value: Any) -> bool:
    return value == "all-linear" or (isinstance(value, list) and bool(value) and all(map(_layer, value)))


def _layer(name: Any) -> bool:
    return isinstance(name, str) and bool(name) and name.rpartition(".")[2] not in HEADS


_FLAG = Knob(lambda value: isinstance(value, bool), "true or false")
_SHARE = _number(lambda value: 0 <= value < 1, "a number from 0 to below 1")
_POSITIVE = _number(lambda value: value > 0, "a number above 0")

KNOBS: dict[str, Knob] = {
    "name": Knob(lambda value: isinstance(value, str) and bool(value), "a text that is not empty"),
    "quantisation.enabled": _FLAG,
    "quantisation.type": _one_of("nf4", "fp4"),
    "quantisation.double": _FLAG,
    "quantisation.compute_dtype": _one_of("auto", "float32", "bfloat16"),
    "lora.r": Knob(lambda value: type(value) is int and 1 <= value <= MOST_RANK, f"a whole number, 1 to {MOST_RANK}"),
    "lora.alpha": _whole(1),
    "lora.dropout": _SHARE,
    "lora.target_modules": Knob(
        _modules,
        '"all-linear" or a list of linear layers\' names; no head and no embeddings: engines load no such part',
    ),
    "training.learning_rate": _POSITIVE,
    "training.warm_learning_rate": _POSITIVE,
    "training.warmup_steps": _whole(0),
    "training.schedule": _one_of("linear", "constant"),
    "training.weight_decay": _SHARE,
    "training.max_grad_norm": _POSITIVE,
    "training.epochs": _POSITIVE,
    "training.min_steps": _whole(1),
    "training.max_steps": _whole(1),
    "training.batch_size": _whole(1),
    "training.gradient_accumulation": _whole(1),
    "training.max_length": _whole(16),
    "training.gradient_checkpointing": Knob(
        lambda value: isinstance(value, bool) or value == "auto", 'true, false or "auto"'
    ),
    "training.validation_share": _SHARE,
    "training.validation_steps": _whole(1),
    "training.patience": _whole(0),
    "training.warm_start": _one_of("champion", "base"),
    "training.seed": _whole(0),
    "training.checkpoint_steps": _whole(1),
}
