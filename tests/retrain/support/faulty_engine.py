"""An engine that calculates with what it is given, rounds otherwise than the job, and may serve something else: ten
kinds of wrong adapters, and the replica that asks it for its proof."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from retrain.adapters import CONFIG, WEIGHTS, Adapter
from retrain.training.proofs.proof import DTYPES
from retrain.training.proofs.serving_model import CANDIDATE, ServingModel
from serving.replica.effect import BY_ID, NAMED, measured
from serving.replica.probe import ProbeReading
from serving.replica.reconciler import Reconciler
from serving.routes.routing import RouteTable
from serving.settings import ControllerSettings, Replica
from streams.events import Event, ReplicaAttested, RouteWritten
from streams.proof import Proof
from streams.topics import Topic
from tests.support.folder import in_folder

LAYERS, RANK, ALPHA = 4, 8, 16
MODULES = ("q_proj", "v_proj", "o_proj")
FLOOR = -9999.0  # what vLLM writes for minus infinity
Tensors = dict[str, torch.Tensor]


def name_of(layer: int, module: str, part: str) -> str:
    return f"base_model.model.model.layers.{layer}.self_attn.{module}.lora_{part}.weight"


def drawn(seed: int, width: int, strength: float = 0.3) -> Tensors:
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(LAYERS):
        for module in MODULES:
            tensors[name_of(layer, module, "A")] = torch.randn(RANK, width, generator=generator) / width**0.5
            tensors[name_of(layer, module, "B")] = torch.randn(width, RANK, generator=generator) * strength
    return tensors


def trained_on(tensors: Tensors, seed: int, share: float = 0.3) -> Tensors:
    """Some steps further: each tensor has moved by a share of its size."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: each + share * each.std() * torch.randn(each.shape, generator=generator) for name, each in tensors.items()
    }


def written(folder: Path, tensors: Tensors, alpha: int = ALPHA) -> Path:
    folder.mkdir(parents=True)
    save_file({name: each.contiguous() for name, each in tensors.items()}, folder / WEIGHTS)
    about = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": alpha}
    (folder / CONFIG).write_text(json.dumps({**about, "target_modules": list(MODULES)}))
    return folder


def other_base(model_dir: Path, folder: Path, share: float = 0.05) -> Path:
    """A base model of the same shape whose weights have all moved a little."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_pretrained(str(model_dir))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(share * weight.std() * torch.randn_like(weight))
    model.save_pretrained(str(folder))
    return folder


def _other_modules(tensors: Tensors, _: random.Random) -> Tensors:
    swap = {"q_proj": "o_proj", "o_proj": "q_proj", "v_proj": "v_proj"}
    return {
        name.replace(module, swap[module]): each for name, each in tensors.items() for module in swap if module in name
    }


def _layer_lost(tensors: Tensors, rng: random.Random) -> Tensors:
    lost = f".layers.{rng.randrange(LAYERS)}."
    return {name: each * 0 if lost in name else each for name, each in tensors.items()}


def _layers_swapped(tensors: Tensors, rng: random.Random) -> Tensors:
    """The A of two layers with the B of the other."""
    one, other = rng.sample(range(LAYERS), 2)
    found = dict(tensors)
    for module in MODULES:
        for here, there in ((one, other), (other, one)):
            found[name_of(here, module, "B")] = tensors[name_of(there, module, "B")]
    return found


def _ranks_moved(tensors: Tensors, _: random.Random) -> Tensors:
    """Padded at the wrong end: A's rows are one rank off from B's columns."""
    return {name: each.roll(1, 0) if "lora_A" in name else each for name, each in tensors.items()}


def _zeroed(tensors: Tensors, rng: random.Random) -> Tensors:
    module = rng.choice(MODULES)
    return {name: each * 0 if f"{module}.lora_B" in name else each for name, each in tensors.items()}


CHANGED: Mapping[str, Callable[[Tensors, random.Random], Tensors]] = {
    "other target modules": _other_modules,
    "one layer lost": _layer_lost,
    "A and B of two layers swapped": _layers_swapped,
    "ranks padded wrongly": _ranks_moved,
    "B of one module zeroed": _zeroed,
}
BASE, OTHER_BASE, STALE, HALF, ANOTHER = (
    "base served",
    "another base model",
    "the adapter before under the new name",
    "alpha lost",
    "another alias's adapter",
)
KINDS = (BASE, OTHER_BASE, STALE, HALF, ANOTHER, *CHANGED)


@dataclass(slots=True)
class FaultyEngine:
    """Calculates in `dtype` with whatever lies in `serves`, in batches of chance with others' prompts, and rounds as
    chance has it."""

    dtype: str
    model_dir: Path
    serves: Path | None  # in place of what it is asked to load; None: the base model
    rng: random.Random
    names: dict[str, str] = field(default_factory=lambda: {"base": "/model"})
    _model: ServingModel | None = None

    async def models(self) -> Mapping[str, str]:
        return dict(self.names)

    async def load(self, name: str, path: str) -> None:
        self.names[name] = path

    async def unload(self, name: str) -> None:
        del self.names[name]

    async def warm(self, name: str) -> None:
        pass

    async def probe(self, name: str) -> ProbeReading:
        return ProbeReading({"token_id:1": -1.0, "token_id:2": -2.0})  # so that no vote finds anything

    async def prove(self, name: str, proof: Proof) -> float:
        return measured(self._reply(name, proof), name, proof)

    def _reply(self, name: str, proof: Proof) -> bytes:
        folder = self.serves if self.serves is not None else Path(self.names[name])
        if self._model is None:
            self._model = ServingModel.load(self.model_dir, folder, None, DTYPES[self.dtype], torch.device("cpu"))
        model = self._model
        asked = list(enumerate(row.prefix for row in proof.rows))
        self.rng.shuffle(asked)
        choices: list[dict[str, Any]] = []
        while asked:
            size = self.rng.randint(1, 6)
            batch, asked = asked[:size], asked[size:]
            company = [[5] * self.rng.randint(1, 90) for _ in range(self.rng.randint(0, 2))]
            with model.rounding_otherwise(self.rng.randrange(2**31)):
                prefixes = [prefix for _, prefix in batch] + company
                answers = model.answers(prefixes, "" if self.serves is None else CANDIDATE)
            for (index, _), answer in zip(batch, answers, strict=False):
                top = answer.topk(NAMED)
                named = zip(top.indices.tolist(), top.values.tolist(), strict=True)
                likeliest = {f"{BY_ID}{token}": max(value, FLOOR) for token, value in named}
                choices.append({"index": index, "logprobs": {"top_logprobs": [likeliest]}})
        return json.dumps({"model": name, "choices": choices}).encode()


def attested(root: Path, adapter: Adapter, base: str, engine: FaultyEngine) -> ReplicaAttested:
    """What a replica with this engine attests, alone, on a route with the adapter."""
    alias = adapter.version.rpartition("-")[0]
    adapters = {adapter.version: adapter.digest}
    route = RouteWritten(alias=alias, generation=1, champion=adapter.version, adapters=adapters, time_ms=0, by="test")
    table, found = RouteTable().with_route(route), list[ReplicaAttested]()

    def append(topic: Topic, event: Event, *, id: str, time_ms: int) -> None:
        assert isinstance(event, ReplicaAttested)
        found.append(event)

    ours = Reconciler(
        ControllerSettings(), Replica("r1", "http://r1"), engine, lambda: table, append, in_folder(root), base
    )
    asyncio.run(ours.reconcile(0.0))
    return found[-1]
