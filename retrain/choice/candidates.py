"""What is compared: each candidate a base model, a recipe, and the engine that serves the base."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from retrain.training import recipe
from streams.files import utf8

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,46}[a-z0-9])?")
LEAST = 2
FORM = "[[candidate]] tables with name, recipe and, for another base than the stack's, model and engine"


class Contender(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One candidate. `model`: the base model's folder; `engine`: URL of a vLLM that serves it and loads adapters."""

    name: str
    recipe: str
    model: str = ""  # empty: the stack's
    engine: str = ""  # empty: the stack's


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    candidate: list[Contender]


def read_candidates(path: Path) -> list[Contender]:
    """Return the candidates in a TOML file. Raise ValueError or OSError naming file, field and what was expected."""
    try:
        found = msgspec.convert(tomllib.loads(utf8(path.read_bytes())), _File).candidate
    except ValueError as error:  # msgspec's and tomllib's, too
        raise ValueError(f"{path}: {error}; expected {FORM}") from error
    return found


def checked(given: Sequence[Contender], model: Path, engine: str) -> list[Contender]:
    """Return the candidates with the stack's model and engine where they name none. Raise ValueError naming all that
    cannot be compared: too few, names twice, a recipe that is none, another base without an engine that serves it."""
    problems = [
        f"{name}: named {count} times, expected once"
        for name, count in Counter(each.name for each in given).items()
        if count > 1
    ]
    if len(given) < LEAST:
        problems.append(f"{len(given)} candidates, expected at least {LEAST}: --recipe twice, or --candidates FILE")
    found = []
    for each in given:
        problems += [f"{each.name}: {why}" for why in _objections(each, model)]
        found.append(
            msgspec.structs.replace(each, model=each.model or str(model), engine=(each.engine or engine).rstrip("/"))
        )
    if problems:
        raise ValueError(
            "\n".join([f"{len(problems)} problem(s) with the candidates", *(f"  - {p}" for p in problems)])
        )
    return found


def _objections(each: Contender, model: Path) -> list[str]:
    found = []
    if not NAME.fullmatch(each.name):
        found.append("name: expected lower-case letters, digits, '.', '-' and '_', 1 to 48 of them")
    try:
        recipe.find(each.recipe)
    except recipe.RecipeError as error:
        found.append(str(error))
    if each.model and Path(each.model).resolve() != model.resolve() and not each.engine:
        found.append(
            f"model {each.model} is not the stack's ({model}): give `engine`, the URL of a vLLM that serves it with "
            "--enable-lora, --max-lora-rank of the recipe's r, and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1; adapters are "
            "read by their path"
        )
    return found
