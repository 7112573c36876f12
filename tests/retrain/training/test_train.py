"""Training, on a model small enough for a unit test: it learns, it resumes bit for bit, it leaves only safetensors."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from deploy.operator.rows import LabelledRow
from retrain.adapters import commit
from retrain.base_model import base_model_id
from retrain.first_adapter import first_adapter
from retrain.settings import RetrainSettings
from retrain.training import recipe
from retrain.training.backends.process import TrainingFailed
from retrain.training.encoding import lessons
from retrain.training.loop.checkpoint import Checkpoint, trainable
from retrain.training.loop.course import Course
from retrain.training.loop.learner import Diverged
from retrain.training.loss import answer_loss
from retrain.training.model import build
from retrain.training.prompting import load_tokenizer
from retrain.training.train import train
from streams.identity import ADAPTER_FILES
from streams.objects.opening import Storage
from tests.retrain.support.models import of_experts, seeing
from tests.retrain.support.orders import here
from tests.retrain.support.trainings import ROWS, knobs
from tests.support.folder import in_folder

pytestmark = pytest.mark.slow

KNOBS = recipe.find("small")


@pytest.mark.parametrize("quantised", [False, True])
def test_it_learns(model_dir: Path, tmp_path: Path, quantised: bool) -> None:
    losses: list[float] = []
    done = train(
        ROWS, model_dir, knobs(quantised=quantised), tmp_path, threads=1, progress=lambda *at: losses.append(at[2])
    )
    assert (done.rows, done.left_out, done.steps, done.resumed_at) == (4, 0, 12, 0)
    assert losses[-1] < losses[0] - 0.2
    assert sorted(path.name for path in done.folder.iterdir() if path.suffix != ".md") == sorted(ADAPTER_FILES)


class Killed(Exception):
    pass


def ends_with_the_same_bits(model_dir: Path, tmp_path: Path) -> None:
    """Killed in the midst and called again, as if it had never been."""
    whole = train(ROWS, model_dir, knobs(), tmp_path / "whole", threads=1)

    def die(step: int, steps: int, loss: float) -> None:
        if step == 8:
            raise Killed

    with pytest.raises(Killed):
        train(ROWS, model_dir, knobs(), tmp_path / "parted", threads=1, progress=die)
    parted = train(ROWS, model_dir, knobs(), tmp_path / "parted", threads=1)
    assert parted.resumed_at == 5
    name = "adapter_model.safetensors"
    assert (parted.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_killed_and_called_again_it_ends_with_the_same_bits(model_dir: Path, tmp_path: Path) -> None:
    ends_with_the_same_bits(model_dir, tmp_path)


def test_a_model_with_a_vision_tower_learns_and_the_tower_stays(model_dir: Path, tmp_path: Path) -> None:
    folder = seeing(model_dir, tmp_path / "model")
    ends_with_the_same_bits(folder, tmp_path)
    done = train(ROWS, folder, knobs(min_steps=2, max_steps=2), tmp_path / "out", threads=1)
    assert not [name for name in load_file(done.folder / "adapter_model.safetensors") if "language_model" not in name]
    assert "model.vision_tower" in done.untouched
    again = train(ROWS, folder, knobs(min_steps=2, max_steps=2), tmp_path / "on", warm_start=done.folder, threads=1)
    assert again.untouched == done.untouched


def test_a_model_of_experts_learns_and_the_experts_stay(model_dir: Path, tmp_path: Path) -> None:
    folder = of_experts(model_dir, tmp_path / "model")
    done = train(ROWS, folder, knobs(), tmp_path / "out", threads=1)
    names = load_file(done.folder / "adapter_model.safetensors")
    assert names
    assert not [name for name in names if "self_attn" not in name]
    assert "model.layers.*.mlp.experts" in done.untouched


def test_a_checkpoint_of_other_rows_is_none(model_dir: Path, tmp_path: Path) -> None:
    train(ROWS, model_dir, knobs(), tmp_path, threads=1)
    assert train(ROWS[:8], model_dir, knobs(), tmp_path, threads=1).resumed_at == 0


def test_a_checkpoint_is_one_wherever_the_model_lies(model_dir: Path, tmp_path: Path) -> None:
    """Another machine that goes on has fetched the base model into a folder of its own."""
    train(ROWS, model_dir, knobs(), tmp_path / "out", threads=1)
    elsewhere = shutil.copytree(model_dir, tmp_path / "elsewhere")
    assert train(ROWS, elsewhere, knobs(), tmp_path / "out", threads=1).resumed_at == 10
    other = json.loads((elsewhere / "config.json").read_text())
    (elsewhere / "config.json").write_text(json.dumps({**other, "rms_norm_eps": 1e-3}))
    assert train(ROWS, elsewhere, knobs(), tmp_path / "out", threads=1).resumed_at == 0


def test_it_goes_on_from_a_champion(model_dir: Path, tmp_path: Path) -> None:
    first = train(ROWS, model_dir, knobs(min_steps=30, max_steps=30), tmp_path / "one", threads=1)
    losses: list[float] = []
    train(
        ROWS,
        model_dir,
        knobs(),
        tmp_path / "two",
        warm_start=first.folder,
        threads=1,
        progress=lambda *at: losses.append(at[2]),
    )
    assert losses[0] < 2 * first.loss + 0.3


def test_a_warm_start_has_a_rate_of_its_own(model_dir: Path, tmp_path: Path) -> None:
    still = knobs(warm_learning_rate=1e-12)
    losses: list[float] = []
    first = train(ROWS, model_dir, still, tmp_path / "one", threads=1, progress=lambda *at: losses.append(at[2]))
    assert losses[-1] < losses[0] - 0.2
    then = train(ROWS, model_dir, still, tmp_path / "two", warm_start=first.folder, threads=1)
    before, after = (load_file(each.folder / "adapter_model.safetensors") for each in (first, then))
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)


def test_long_rows_are_left_out_and_counted(model_dir: Path, tmp_path: Path) -> None:
    long = ([{"role": "user", "content": "x" * 600}], "red")
    done = train([*ROWS, long], model_dir, knobs(max_length=64), tmp_path, threads=1)
    assert (done.rows, done.left_out) == (4, 1)


def test_nothing_to_learn_from_is_said(model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rows: 0, none of at most 64 tokens"):
        train([], model_dir, knobs(max_length=64), tmp_path)


def shaped(**lora: Any) -> recipe.Recipe:
    return dataclasses.replace(KNOBS, lora=dataclasses.replace(KNOBS.lora, **lora))


def test_a_champion_of_another_shape_is_refused_and_its_dropout_is_the_recipes(model_dir: Path, tmp_path: Path) -> None:
    first = train(ROWS, model_dir, knobs(), tmp_path / "one", threads=1).folder
    for knob, value in (("r", 8), ("alpha", 64)):
        with pytest.raises(ValueError, match=rf"lora\.{knob} = {value}, but .* has"):
            build(model_dir, shaped(**{knob: value}), torch.device("cpu"), first)
    model = build(model_dir, shaped(dropout=0.25), torch.device("cpu"), first)
    assert model.peft_config["default"].lora_dropout == 0.25
    assert any(isinstance(module, torch.nn.Dropout) and module.p == 0.25 for module in model.modules())
    assert any(weight.requires_grad for weight in model.parameters())


def broken(model_dir: Path, folder: Path) -> Path:
    """A copy of the model with one weight that is no number."""
    shutil.copytree(model_dir, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.0.mlp.down_proj.weight"][0, 0] = float("nan")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_a_loss_that_is_no_number_ends_the_training_at_once(model_dir: Path, tmp_path: Path) -> None:
    taken: list[int] = []
    with pytest.raises(Diverged, match="step 1 of 12: the loss is nan, expected a finite number; lower training"):
        train(
            ROWS,
            broken(model_dir, tmp_path / "broken"),
            knobs(),
            tmp_path / "out",
            threads=1,
            progress=lambda *at: taken.append(at[0]),
        )
    assert taken == []
    assert not (tmp_path / "out" / "adapter").exists()


def test_a_learning_rate_that_blows_up_stores_nothing(model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(Diverged):
        train(ROWS, model_dir, knobs(learning_rate=1e30), tmp_path, threads=1)
    assert not (tmp_path / "adapter").exists()


def test_a_first_adapter_of_no_numbers_is_not_made(model_dir: Path, tmp_path: Path) -> None:
    """At first an adapter of 28 tensors without one finite number was stored, ready to be served."""
    bad = broken(model_dir, tmp_path / "broken")
    settings = RetrainSettings(threads=1)
    rows = [LabelledRow("say red", "red").example(), LabelledRow("say blue", "blue").example()]
    stored = Storage(var=tmp_path)
    with pytest.raises(TrainingFailed, match=r"^Diverged: "):
        first_adapter(rows, alias="support", model_dir=bad, stored=stored, settings=settings, training=here)
    assert not list(tmp_path.glob("adapters/support/*"))


def test_a_checkpoint_that_is_broken_is_none(model_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    model = build(model_dir, knobs(), torch.device("cpu"))
    weights = trainable(model)
    optimizer = torch.optim.AdamW(weights.values())
    for weight in weights.values():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    for losses, shape in (([float("nan")], None), ([0.5], (3, 3))):
        checkpoint, course = Checkpoint(path, "fingerprint"), Course(losses, rows_at_once=4)
        checkpoint.save(model, optimizer, course)
        if shape is not None:
            tensors = load_file(path)
            name = next(each for each in tensors if each.startswith("weight/"))
            about = {"fingerprint": "fingerprint", "course": '{"losses": [0.5], "validation": [], "rows_at_once": 4}'}
            save_file(tensors, path, about)
            assert checkpoint.restore(model, optimizer) == course
            save_file({**tensors, name: torch.zeros(shape)}, path, about)
        assert checkpoint.restore(model, optimizer) == Course()
    for left in (b"", b"half of one", b"\0" * 64):
        path.write_bytes(left)
        assert checkpoint.restore(model, optimizer) == Course()


def test_the_same_training_has_one_name_wherever_it_runs(model_dir: Path, tmp_path: Path) -> None:
    versions = set()
    for name in ("here", "there"):
        folder = shutil.copytree(model_dir, tmp_path / name / "model")
        done = train(ROWS, folder, knobs(min_steps=2, max_steps=2), tmp_path / name, threads=1)
        versions.add(commit(done.folder, in_folder(tmp_path), "support", base_model_id(folder)).version)
    assert len(versions) == 1


def test_a_stored_adapter_is_gone_on_from(model_dir: Path, tmp_path: Path) -> None:
    first = train(ROWS, model_dir, knobs(), tmp_path / "one", threads=1)
    stored = commit(first.folder, in_folder(tmp_path), "support", base_model_id(model_dir)).path
    one, two = (
        train(ROWS, model_dir, knobs(), tmp_path / name, warm_start=warm, threads=1)
        for name, warm in (("two", first.folder), ("three", stored))
    )
    assert one.loss == two.loss


def test_adapters_calculate_in_the_models_own_type(model_dir: Path, tmp_path: Path) -> None:
    """In float32 on a bfloat16 model, each adapter's input is kept in float32 as well."""
    short = dataclasses.replace(
        knobs(), quantisation=dataclasses.replace(knobs().quantisation, enabled=False, compute_dtype="bfloat16")
    )
    model = build(model_dir, short, torch.device("cpu"))
    tokenizer = load_tokenizer(model_dir)
    found: set[torch.dtype] = set()
    adapters = [module for name, module in model.named_modules() if name.endswith(("lora_A.default", "lora_B.default"))]
    for module in adapters:
        module.register_forward_hook(lambda _module, _given, output: found.add(output.dtype))
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda each: kept.append(each) or each, lambda each: each):  # type: ignore[func-returns-value]
        loss = answer_loss(model, lessons(tokenizer, ROWS, 64).rows, tokenizer.pad_token_id, torch.device("cpu"))
    assert (len(adapters), found) == (28, {torch.bfloat16})
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is not None and weight.dtype == torch.float32 for weight in trainable(model).values())
    inputs = [each for each in kept if each.dtype == torch.float32 and each.shape[-1:] == (64,) and each.requires_grad]
    assert len(inputs) <= 2 * (2 * 2 + 1)  # of the norms, which calculate in float32


def test_it_learns_in_bfloat16(model_dir: Path, tmp_path: Path) -> None:
    short = knobs(min_steps=20, max_steps=20)
    short = dataclasses.replace(short, quantisation=dataclasses.replace(short.quantisation, compute_dtype="bfloat16"))
    losses: list[float] = []
    train(ROWS, model_dir, short, tmp_path, threads=1, progress=lambda *at: losses.append(at[2]))
    assert losses[-1] < losses[0] - 0.2


def spoiled(model_dir: Path, folder: Path, without: str) -> Path:
    """The model, with weights that lack some."""
    shutil.copytree(model_dir, folder)
    weights = folder / "model.safetensors"
    save_file({k: v for k, v in load_file(weights).items() if without not in k}, weights, {"format": "pt"})
    return folder


def test_weights_that_are_missing_are_not_made_up(model_dir: Path, tmp_path: Path) -> None:
    folder = spoiled(model_dir, tmp_path / "model", "layers.1.mlp")
    with pytest.raises(ValueError, match=r"3 tensors are missing from its weights, model\.layers\.1\.mlp\.down_proj"):
        train(ROWS, folder, knobs(), tmp_path / "out", threads=1)


def test_a_head_that_is_the_embeddings_is_not_missing(model_dir: Path, tmp_path: Path) -> None:
    folder = spoiled(model_dir, tmp_path / "model", "lm_head")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    assert train(ROWS, folder, knobs(), tmp_path / "out", threads=1).steps == 12


def renamed_token(model_dir: Path, folder: Path, key: str) -> Path:
    """A tokenizer to which a token was added that the model has no row for, as Llama 2's often have for padding."""
    shutil.copytree(model_dir, folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: "<|added|>"}))
    return folder


def test_padding_that_the_model_lacks_is_none(model_dir: Path, tmp_path: Path) -> None:
    folder = renamed_token(model_dir, tmp_path / "model", "pad_token")
    assert load_tokenizer(folder).pad_token_id == 99
    rows = [*ROWS, ([{"role": "user", "content": "say it at some length"}], "red")]
    assert train(rows, folder, knobs(), tmp_path / "out", threads=1).steps == 12


def test_tokens_that_the_model_lacks_are_named(model_dir: Path, tmp_path: Path) -> None:
    folder = renamed_token(model_dir, tmp_path / "model", "eos_token")
    with pytest.raises(ValueError, match=r"tokens that the model's 99 embeddings lack \('<\|added\|>'\)"):
        train(ROWS, folder, knobs(), tmp_path / "out", threads=1)
