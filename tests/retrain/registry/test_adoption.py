"""An adapter made elsewhere, and a candidate on a new base model, are judged as any other: one whole job each."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import msgspec
import pytest

from retrain.adapters import commit
from retrain.base_model import base_model_id
from retrain.data import manifest
from retrain.handover import Handover
from retrain.job import worked
from retrain.job_steps import Job
from retrain.registry import origins
from retrain.registry.lineage import lineage
from retrain.settings import of_request
from streams.identity import adapter_key
from tests.retrain.support.engine import Engine
from tests.retrain.support.orders import here
from tests.retrain.test_retraining import ONSET, World, beginning, recipe, served
from tests.support.folder import in_folder

pytestmark = pytest.mark.slow
__all__ = ["beginning", "recipe"]  # fixtures


@pytest.fixture
def world(tmp_path: Path, beginning: World) -> World:
    made = beginning.copied(tmp_path / "var")
    made.labelled([served(number) for number in range(1, ONSET + 80)])
    return made


def elsewhere(world: World, folder: Path, scale: float = 2.0) -> Path:
    """Another adapter, as another program left it."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(world.champion.path, folder)
    weights = folder / "adapter_model.safetensors"
    for path in folder.iterdir():
        path.chmod(0o644)
    save_file({name: tensor * scale for name, tensor in load_file(weights).items()}, weights)
    return folder


async def test_an_adapter_made_elsewhere_is_judged_and_nothing_is_trained(world: World, tmp_path: Path) -> None:
    trees = in_folder(world.var)
    adopted = commit(elsewhere(world, tmp_path / "lab"), trees, "support", base_model_id(world.model))
    request = msgspec.structs.replace(world.spec("").request, adopts=adopted.digest)
    settings = of_request(world.settings, forgets=False, adopts=True)
    outcome = await world.job(request=request, settings=settings)
    assert outcome.verdict is not None, outcome.problem
    assert (outcome.candidate, outcome.trained_rows) == (adopted.version, 0)
    assert outcome.verdict.status == "promote", outcome.verdict.reason
    parts = manifest.load(trees, outcome.dataset_digest)[0].parts
    assert parts["validation"].rows > 10 * parts["train"].rows, "nearly all rows judge"
    assert manifest.trained_on(trees, adopted.version) == []
    assert adopted.version in manifest.judged(trees)[outcome.dataset_digest], "an erasure finds who was judged on them"


async def test_a_trained_candidate_has_its_lineage(world: World) -> None:
    outcome = await world.job()
    assert outcome.verdict is not None, outcome.problem
    origin = origins.recalled(in_folder(world.var), outcome.candidate)
    assert origin is not None
    assert (origin.digest, origin.dataset, origin.request) == (outcome.digest, outcome.dataset_digest, "r1")
    assert (origin.run, origin.base_model) == (outcome.mlflow_run, base_model_id(world.model))
    assert {"git_commit", "torch"} <= set(origin.software)
    node = lineage(in_folder(world.var), outcome.candidate)
    assert [each.kind for each in node.origins][:4] == ["retraining", "run", "dataset", "software"]


async def test_a_candidate_on_a_new_base_is_gated_against_the_champion_on_the_old(
    world: World, tmp_path: Path, model_dir: Path
) -> None:
    new = Path(shutil.copytree(model_dir, tmp_path / "new_base"))
    config = json.loads((new / "config.json").read_text())
    (new / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-5}))
    folder = world.var / "jobs" / "r1"
    folder.mkdir(parents=True)
    ours, before = Engine(world.champion.digest), Engine(world.champion.digest)
    async with ours.serving() as url, before.serving() as old:
        settings = msgspec.convert(
            {**msgspec.to_builtins(world.settings), "champion_model": str(model_dir), "champion_engine": f"{old}/"},
            type(world.settings),
        )
        spec = world.spec(url, model=new.as_uri(), settings=settings)
        outcome = await asyncio.to_thread(worked, Job(spec, folder, Handover(None, folder), here))
    assert outcome is not None
    assert outcome.verdict is not None, outcome.problem
    assert outcome.verdict.status == "promote", outcome.verdict.reason
    assert (sum("load" in each and "unload" not in each for each in ours.calls), len(before.asked) > 0) == (1, True)
    assert all(world.champion.version in each for each in before.calls)
    trees = in_folder(world.var)
    origin = origins.recalled(trees, outcome.candidate)
    assert origin is not None
    assert (origin.base_model, origin.parent) == (base_model_id(new), "")
    assert trees.at_hand(adapter_key("support", outcome.digest))
