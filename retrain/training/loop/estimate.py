"""What a training will take of each device, in memory and time, reckoned before a weight is loaded."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrain.training.batches import Encoded, shares
from retrain.training.loop.outline import linear, within
from retrain.training.recipe import Recipe

PACKED = {True: 4.127 / 8, False: 4.5 / 8}  # bytes of a parameter in 4 bits with its scales; doubly quantised or not
OPTIMISED = 4 * 4  # bytes of an adapter's parameter: itself, its gradient and AdamW's two moments, in float32
LOGITS = 4  # bytes of one logit; its gradient takes its place
KEPT = 1.9  # times a layer's inputs and outputs that the forward pass keeps: norms and activations are in it
USED = 0.5  # of a matrix product's speed, that a whole step has
MATRIX = {"cpu": 1024, "cuda": 8192}  # its side


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of a model that memory and time follow from."""

    parameters: int
    packed: int  # of them in linear layers, which can be quantised
    layers: dict[str, tuple[int, int]]  # linear layers of the language model: what goes in, what comes out
    experts: float  # parameters of experts that one token passes
    depth: int  # layers of the language model
    width: int
    vocabulary: int

    @classmethod
    def of(cls, model: Any, parts: Mapping[str, str]) -> Sizes:
        """Count them in a model's outline."""
        each = dict(linear(model))
        head, config = model.get_output_embeddings(), model.config.get_text_config()
        body = {name: layer for name, layer in each.items() if layer is not head}
        text = {name: layer for name, layer in body.items() if not any(within(name, part) for part in parts)}
        rows, width = model.get_input_embeddings().weight.shape
        return cls(
            parameters=sum(weight.numel() for weight in {id(each): each for each in model.parameters()}.values()),
            packed=sum(layer.weight.numel() for layer in body.values()),
            layers={name: (layer.in_features, layer.out_features) for name, layer in text.items()},
            experts=_passed(model, getattr(config, "num_experts_per_tok", None) or 1),
            depth=config.num_hidden_layers,
            width=width,
            vocabulary=rows,
        )


@dataclass(frozen=True, slots=True)
class TrainingEstimate:
    """Of one device."""

    weights_bytes: int  # the frozen model, the adapter and its optimiser
    peak_bytes: int
    seconds: float  # of all steps
    steps: int


def estimate(
    sizes: Sizes,
    targets: frozenset[str],
    recipe: Recipe,
    rows: Sequence[Encoded],
    batches: Sequence[Sequence[int]],
    devices: int,
    element: int,
    operations_s: float,
) -> TrainingEstimate:
    """Return the estimate. `element`: bytes of a number as the model calculates; `operations_s`: multiplications and
    additions a second, as `speed` measures them."""
    knobs, frozen = recipe.training, _frozen(sizes, recipe, element)
    adapter = recipe.lora.r * sum(sum(sizes.layers[name]) for name in targets if name in sizes.layers)
    recomputes = knobs.recomputes(sizes.parameters)
    a_cell = _cell(sizes, targets, recipe, element, recomputes)
    pieces = [[rows[i] for i in piece] for batch in batches for piece in shares(batch, knobs.batch_size, 0, devices)]
    cells = [len(piece) * max(map(len, piece)) for piece in pieces]
    answers = [sum(len(row.completion) for row in piece) for piece in pieces]
    widest = max(
        cell * a_cell + answer * sizes.vocabulary * LOGITS for cell, answer in zip(cells, answers, strict=True)
    )
    unpacked = max(map(math.prod, sizes.layers.values()), default=0) * element if recipe.quantisation.enabled else 0
    weights = frozen + adapter * OPTIMISED
    passed = sum(map(math.prod, sizes.layers.values())) + sizes.experts
    a_token = 2 * passed * (3 if recomputes else 2) + 6 * adapter
    head = 4 * sizes.width * sizes.vocabulary
    operations = sum(cells) * a_token + sum(answers) * head
    return TrainingEstimate(
        weights, round(weights + widest + unpacked), operations / (operations_s * USED), len(batches)
    )


def speed(device: Any, dtype: Any) -> float:
    """Measure how many multiplications and additions a second the device does in a matrix product: the best of three,
    a fraction of a second."""
    import torch

    side = MATRIX.get(device.type, 1024)
    one, best = torch.ones((side, side), device=device, dtype=dtype), math.inf
    for _ in range(3):
        began = time.perf_counter()
        float((one @ one)[0, 0])  # waits for a GPU
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def _frozen(sizes: Sizes, recipe: Recipe, element: int) -> int:
    if not recipe.quantisation.enabled:
        return sizes.parameters * element
    return round(sizes.packed * PACKED[recipe.quantisation.double]) + (sizes.parameters - sizes.packed) * element


def mapped_bytes(sizes: Sizes, quantised: bool, element: int, files: int) -> int:
    """Return how many bytes of the weights' files stay in memory next to the model, on a CPU: a file is mapped whole,
    and the model's tensors are those of the file where their type is the same and they are not quantised."""
    same = abs(files / (sizes.parameters * element) - 1) < 0.1
    plain = sizes.parameters - sizes.packed if quantised else sizes.parameters
    return max(0, files - (plain * element if same else 0))


def _cell(sizes: Sizes, targets: frozenset[str], recipe: Recipe, element: int, recomputes: bool) -> float:
    """Return the bytes that the forward pass keeps of one token: what goes into each linear layer and what comes out
    (`KEPT` times that, as measured), and what the adapter makes of it. Recomputed, it is the input of each layer, and
    all of one layer."""
    kept = sum(map(sum, sizes.layers.values())) + recipe.lora.r * len(targets)
    if recipe.lora.dropout:
        kept += sum(sizes.layers[name][0] for name in targets if name in sizes.layers)
    whole = KEPT * kept * element
    return whole / sizes.depth + sizes.depth * sizes.width * element if recomputes else whole


def _passed(model: Any, chosen: int) -> float:
    """Return the parameters of experts that one token passes. Experts of a layer are in one tensor, the first of whose
    three dimensions counts them."""
    stacked = [weight for weight in model.parameters() if weight.dim() == 3]
    return float(sum(weight.numel() * min(1.0, chosen / weight.shape[0]) for weight in stacked))
