"""Proofs of effect with a real vLLM: the adapter gives its own in any company, what is served in its place does not."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from retrain.adapters import CONFIG, WEIGHTS, Adapter, commit
from retrain.training.proofs.proof import write_proof
from serving.replica.engine import VllmAdmin, session
from streams.kinds import ProofOutcome
from streams.proof import read
from tests.conftest import Engine as RealEngine
from tests.serving.real.test_engine import ALIAS, adapter
from tests.serving.real.test_probe import Liar, ProbeStack
from tests.support.folder import in_folder

pytestmark = pytest.mark.vllm
CROWD = 12  # other prompts that are answered together with a proof's
TRIES = 5
Change = Callable[[str, torch.Tensor], torch.Tensor]


def copied(source: Path, target: Path, change: Change = lambda _, tensor: tensor) -> Path:
    """The adapter without its proof, its tensors changed."""
    target.mkdir()
    shutil.copyfile(source / CONFIG, target / CONFIG)
    tensors = load_file(source / WEIGHTS)
    save_file({name: change(name, tensor).contiguous() for name, tensor in tensors.items()}, target / WEIGHTS)
    return target


def grown(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """A little further trained, so to say."""
    return tensor * 1.1 if "lora_B" in name else tensor


FAULTS: dict[str, Change] = {
    "the predecessor": lambda name, tensor: tensor / 1.1 if "lora_B" in name else tensor,
    "half its strength": lambda name, tensor: tensor / 2 if "lora_B" in name else tensor,
    "one layer lost": lambda name, tensor: tensor * 0 if ".layers.9." in name else tensor,
    "nothing in it": lambda name, tensor: tensor * 0,
}


class Proven:
    """An adapter with its proof in a store, and a predecessor that it differs from by a little."""

    def __init__(self, root: Path, engine: RealEngine) -> None:
        self.root, self.engine = root, engine
        before = copied(adapter(root / "first", root, engine, 21).path, root / "before")
        after = copied(before, root / "after", grown)
        self.proof = write_proof(after, engine.model_dir, before, "float32")
        self.right = commit(after, in_folder(root), ALIAS, engine.base_model_id)

    def wrong(self, name: str) -> Adapter:
        """What an engine serves instead."""
        folder = copied(self.right.path, self.root / name.replace(" ", "-"), FAULTS[name])
        return commit(folder, in_folder(self.root), "another", self.engine.base_model_id)


@pytest.fixture(scope="module")
def proven(engine: RealEngine, tmp_path_factory: pytest.TempPathFactory) -> Proven:
    return Proven(tmp_path_factory.mktemp("proof"), engine)


async def test_an_adapter_gives_its_proof_alone_and_in_company(proven: Proven, engine: RealEngine) -> None:
    found, proof = [], proven.proof
    assert proof.impossible == ""
    assert proof == read(proven.right.path)
    async with session() as http:
        asked, name = VllmAdmin(http, engine.url), proven.right.version
        await asked.load(name, str(proven.right.path))
        for number in range(TRIES):
            crowd = {"model": "base" if number % 2 else name, "prompt": ["Once upon a time"] * CROWD, "max_tokens": 20}
            others = asyncio.create_task(asked._ask("POST", "/v1/completions", crowd))
            found.append(await asked.prove(name, proof))
            await others
            found.append(await asked.prove(name, proof))
        base = await asked.prove("base", proof)
        await asked.unload(name)
    print(f"right: {max(found):.5f}, base: {base:.3f}, tolerance {proof.tolerance}, faults {proof.faults}")
    assert max(found) <= proof.tolerance / 2
    assert base > proof.tolerance * 4


async def test_a_replica_attests_what_is_proven(proven: Proven, engine: RealEngine) -> None:
    place = ProbeStack(proven.root, proven.right, engine.base_model_id)
    async with session() as http:
        honest = VllmAdmin(http, engine.url)
        assert await place.attested("honest", honest) == {proven.right.version: proven.right.digest}
        assert place.table.attestations["honest"].proofs[proven.right.version].outcome == ProofOutcome.GIVEN
        await honest.unload(proven.right.version)


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_replica_that_computes_with_something_else_attests_nothing_though_it_is_the_only_one(
    proven: Proven, engine: RealEngine, fault: str
) -> None:
    place = ProbeStack(proven.root, proven.right, engine.base_model_id)
    async with session() as http:
        liar = Liar(http, engine.url, proven.wrong(fault))
        assert await place.attested("liar", liar) == {}
        await liar.unload(proven.right.version)
    shown = place.table.attestations["liar"].proofs[proven.right.version]
    print(f"{fault}: {shown.distance}")
    assert shown.outcome == ProofOutcome.FAILED
    assert shown.distance > shown.tolerance * 2
