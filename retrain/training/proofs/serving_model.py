"""An adapter as engines serve it: on the unquantised base model, in the engines' type, whole or with a fault in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from retrain.training.batches import Encoded
from retrain.training.loss import answer_logits

CANDIDATE, PREDECESSOR = "candidate", "predecessor"
LAYER = re.compile(r"\.(\d+)\.")
BATCH = 8  # prefixes calculated at once
FAULTY_LAYERS = 8  # layers that are lost in turn, at most
PAD = 0  # any token: the mask hides it


@dataclass(frozen=True, slots=True)
class ServingModel:
    """A base model with a candidate and, where there is one, its predecessor."""

    model: Any
    device: torch.device
    has_predecessor: bool

    @classmethod
    def load(
        cls, model_dir: Path, candidate: Path, predecessor: Path | None, dtype: torch.dtype, device: torch.device
    ) -> ServingModel:
        """Load base model and adapters. Raises OSError, ValueError or RuntimeError where one cannot be used."""
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        where = {"device_map": {"": str(device)}, "attn_implementation": "sdpa"}
        base = AutoModelForCausalLM.from_pretrained(str(model_dir), dtype=dtype, **where)
        model = PeftModel.from_pretrained(base, str(candidate), adapter_name=CANDIDATE)
        if predecessor is not None:
            model.load_adapter(str(predecessor), adapter_name=PREDECESSOR)
        return cls(model.to(dtype).eval(), device, predecessor is not None)

    @property
    def vocabulary(self) -> int:
        """The number of tokens that the model has embeddings for; a tokenizer may make others."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    def answers(self, prefixes: Sequence[Sequence[int]], adapter: str = CANDIDATE) -> torch.Tensor:
        """Return the next token's log-probabilities, prefixes x vocabulary; "": of the base model."""
        if adapter:
            self.model.set_adapter(adapter)
        rows = [Encoded(list(prefix), [PAD]) for prefix in prefixes]
        with torch.inference_mode(), nullcontext() if adapter else self.model.disable_adapter():
            logits = [
                answer_logits(self.model, rows[at : at + BATCH], PAD, self.device).float().cpu()
                for at in range(0, len(rows), BATCH)
            ]
        return torch.log_softmax(torch.cat(logits), -1)

    def faults(self) -> dict[str, Callable[[], Any]]:
        """Return faults that an engine may have, as contexts: the candidate at half its strength, and without one of
        its layers, for some spread over all."""
        from peft.tuners.lora import LoraLayer

        layers: dict[int, list[Any]] = {}
        for name, module in self.model.named_modules():
            if isinstance(module, LoraLayer) and CANDIDATE in module.scaling:
                found = LAYER.search(name)
                layers.setdefault(int(found[1]) if found else -1, []).append(module)
        every = [module for group in layers.values() for module in group]
        some = sorted(layers)[:: -(-len(layers) // FAULTY_LAYERS)]
        lost = {f"layer {at} lost": partial(_scaled, layers[at], 0.0) for at in some}
        return {"half its strength": partial(_scaled, every, 0.5), **lost}

    @contextmanager
    def rounding_otherwise(self, seed: int) -> Iterator[None]:
        """Round the result of every linear layer up or down at random within the block, as Monte Carlo arithmetic does
        (Parker 1997): how far answers may lie apart that are calculated from the same weights in another order."""
        generator = torch.Generator(self.device).manual_seed(seed)

        def disturb(module: Any, given: Any, output: torch.Tensor) -> torch.Tensor:
            share = torch.rand(output.shape, generator=generator, device=self.device).sub_(0.5)
            wide = torch.float32 if output.dtype.itemsize < 4 else torch.float64
            exact = output.to(wide)
            return exact.addcmul_(exact, share.to(wide), value=torch.finfo(output.dtype).eps).to(output.dtype)

        with ExitStack() as held:
            for module in self.model.modules():
                if isinstance(module, torch.nn.Linear):
                    held.callback(module.register_forward_hook(disturb).remove)
            yield


@contextmanager
def _scaled(modules: Sequence[Any], factor: float) -> Iterator[None]:
    kept = [module.scaling[CANDIDATE] for module in modules]
    for module in modules:
        module.scaling[CANDIDATE] *= factor
    try:
        yield
    finally:
        for module, scale in zip(modules, kept, strict=True):
            module.scaling[CANDIDATE] = scale
