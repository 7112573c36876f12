"""Which layers get an adapter is known before a weight is read."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from retrain.tensor_file import contents
from retrain.training import recipe, targets
from retrain.training.recipe import Lora, RecipeError
from tests.retrain.support.models import of_experts, seeing

LORA = recipe.find("small").lora


def lora(**changes: Any) -> Lora:
    return dataclasses.replace(LORA, **changes)


@pytest.fixture
def outline(model_dir: Path, tmp_path: Path) -> Path:
    """The model without its weights."""
    return shutil.copytree(model_dir, tmp_path / "outline", ignore=shutil.ignore_patterns("*.safetensors"))


def adapter(folder: Path, model_dir: Path, **changes: Any) -> Path:
    """A champion, as small as its names."""
    folder.mkdir()
    found, layers = targets.shape(LORA, LORA.target_modules, "").to_dict(), targets.check(model_dir, LORA).layers
    found["target_modules"] = sorted({name.rpartition(".")[2] for name in layers})
    (folder / "adapter_config.json").write_text(json.dumps({**found, **changes}))
    give(folder, {f"base_model.model.{layer}.lora_{side}.weight" for layer in layers for side in "AB"})
    return folder


def give(folder: Path, tensors: set[str]) -> None:
    save_file({name: torch.zeros(1) for name in tensors}, folder / "adapter_model.safetensors")


def test_every_linear_layer_but_the_head_is_found(outline: Path) -> None:
    found = targets.check(outline, LORA).layers
    assert len(found) == 14
    assert "model.layers.1.mlp.up_proj" in found
    assert targets.check(outline, lora(target_modules=["q_proj", "1.self_attn.v_proj"])).layers == {
        "model.layers.0.self_attn.q_proj",
        "model.layers.1.self_attn.q_proj",
        "model.layers.1.self_attn.v_proj",
    }


@pytest.mark.parametrize("name", ["lm_head", "embed_tokens", "model.embed_tokens"])
def test_head_and_embeddings_are_refused_with_the_reason(outline: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f'"{name}": the model\'s head and embeddings share their weights'):
        targets.check(outline, lora(target_modules=["q_proj", name]))


@pytest.mark.parametrize("name", ["lm_head", "model.embed_tokens", "transformer.wte"])
def test_a_recipe_that_names_them_cannot_be_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(recipe.SMALL.read_text().replace('target_modules = "all-linear"', f'target_modules = ["{name}"]'))
    with pytest.raises(RecipeError, match="no head and no embeddings: engines load no such part"):
        recipe.load(path)


def test_towers_and_projectors_are_left_out_and_said(model_dir: Path, tmp_path: Path) -> None:
    found = targets.check(seeing(model_dir, tmp_path / "model"), LORA)
    assert found.layers
    assert all(name.startswith("model.language_model.layers.0.") for name in found.layers)
    why = "no part of the language model"
    assert why in found.untouched["model.vision_tower"]
    assert why in found.untouched["model.multi_modal_projector"]
    assert found.untouched["lm_head"].startswith("1,584 parameters; engines load no adapter of head")
    named = targets.check(tmp_path / "model", lora(target_modules=["q_proj"]))
    assert named.layers == {"model.language_model.layers.0.self_attn.q_proj"}
    assert "does not name them" in named.untouched["model.language_model.layers.*.self_attn.k_proj"]


def test_a_name_that_is_only_in_a_tower_is_refused(model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'"fc1", which is only in model\.vision_tower.*no part of the language model'):
        targets.check(seeing(model_dir, tmp_path / "model"), lora(target_modules=["q_proj", "fc1"]))


def test_experts_and_routers_are_left_out_and_said(model_dir: Path, tmp_path: Path) -> None:
    found = targets.check(of_experts(model_dir, tmp_path / "model"), LORA)
    assert {name.rpartition(".")[2] for name in found.layers} == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert "experts: engines differ" in found.untouched["model.layers.*.mlp.experts"]
    assert "routers of experts" in found.untouched["model.layers.*.mlp.gate"]
    alone = found.untouched["model.layers.*.mlp.up_proj"]  # of the layer without experts
    assert "PEFT takes layers of this name" in alone
    with pytest.raises(ValueError, match=r'"up_proj", which is only in .*: PEFT takes layers of this name'):
        targets.check(tmp_path / "model", lora(target_modules=["q_proj", "up_proj"]))


def test_a_name_that_fits_nothing_is_refused(outline: Path) -> None:
    with pytest.raises(ValueError, match='"query", which no layer is called'):
        targets.check(outline, lora(target_modules=["q_proj", "query"]))


def test_a_champion_of_the_same_shape_is_gone_on_from(outline: Path, tmp_path: Path) -> None:
    champion = adapter(tmp_path / "champion", outline)
    assert targets.check(outline, LORA, champion) == targets.check(outline, LORA)
    named = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    targets.check(outline, lora(target_modules=named), champion)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r": 8}, "lora.r = 16, but .* has 8"),
        ({"lora_alpha": 16}, "lora.alpha = 32, but .* has 16"),
        ({"target_modules": ["q_proj"]}, "lora.target_modules = 'all-linear', but .* has q_proj; not in both: model"),
        (
            {"modules_to_save": ["lm_head"]},
            r"no recipe has modules_to_save, but .* has modules_to_save = \['lm_head'\]",
        ),
        ({"use_dora": True}, "no recipe has use_dora"),
        ({"rank_pattern": {"q_proj": 4}}, "no recipe has rank_pattern"),
        ({"layers_to_transform": [0]}, "lora.target_modules = 'all-linear'.*not in both: model.layers.1"),
    ],
)
def test_a_champion_of_another_shape_is_refused(
    outline: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    champion = adapter(tmp_path / "champion", outline, **changes)
    with pytest.raises(ValueError, match=message + '(?s:.*)training.warm_start = "base"'):
        targets.check(outline, LORA, champion)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("model.layers", "transformer.h", r"56 tensors .* layers: base_model\.model\.model\.layers.* is missing"),
        ("layers.1", "layers.7", r"28 tensors .* layers: base_model\.model\.model\.layers\.1.* is missing"),
    ],
)
def test_a_champion_without_the_tensors_that_its_configuration_tells_of_is_refused(
    outline: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    """PEFT warned, and began with new tensors: the training was recorded as one from the champion."""
    champion = adapter(tmp_path / "champion", outline)
    give(champion, {name.replace(old, new) for name in contents(champion / "adapter_model.safetensors")})
    with pytest.raises(ValueError, match=message + '.*training.warm_start = "base"'):
        targets.check(outline, LORA, champion)


def test_a_champion_with_a_tensor_more_is_refused(outline: Path, tmp_path: Path) -> None:
    champion = adapter(tmp_path / "champion", outline)
    give(champion, {"base_model.model.lm_head.weight", *contents(champion / "adapter_model.safetensors")})
    with pytest.raises(ValueError, match=r"1 tensors .*lm_head\.weight belongs to no layer of the model"):
        targets.check(outline, LORA, champion)
