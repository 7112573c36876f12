"""Beginnings of answers after which an adapter shows itself: asked for one token there, an engine's log-probability is
the candidate's, its predecessor's or the base model's, and far from the other two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from retrain.data.example import Lesson
from retrain.training.backends.contract import ProofRow
from retrain.training.batches import Encoded
from retrain.training.encoding import lessons
from retrain.training.prompting import load_tokenizer

LOOKED_AT = 24  # rows whose beginnings are compared
LONGEST = 64  # tokens of an answer that are
SMALLEST = 0.4  # nats: with less between them, sums in another order could be taken for another adapter


def proofs(
    rows: Sequence[Lesson], model_dir: Path, candidate: Path, predecessor: Path | None, count: int, max_length: int
) -> tuple[list[ProofRow], float]:
    """Return up to `count` beginnings where the candidate differs most from base and predecessor, and the tolerance: a
    quarter of the smallest difference, in nats. Without one that is large enough: ([], 0.0), no proof is possible.
    All are calculated in the type of the base model's weights, unquantised, as engines serve them."""
    if not count or not rows:
        return [], 0.0
    some = lessons(load_tokenizer(model_dir), rows[:LOOKED_AT], max_length, 1.0).rows
    model, device = _loaded(model_dir, candidate, predecessor)
    found = [each for row in some for each in _beginnings(model, row, device, predecessor is not None)]
    one_each = {tuple(each.prompt): each for each in found}
    best = sorted(one_each.values(), key=gap, reverse=True)[:count]
    kept = [each for each in best if gap(each) >= SMALLEST]
    return (kept, round(gap(kept[-1]) / 4, 6)) if kept else ([], 0.0)


def gap(row: ProofRow) -> float:
    """Return how far the candidate is from the nearer of the others, in nats."""
    others = [row.base, *([] if row.predecessor is None else [row.predecessor])]
    return min(abs(row.candidate - each) for each in others)


def _loaded(model_dir: Path, candidate: Path, predecessor: Path | None) -> tuple[Any, torch.device]:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = AutoModelForCausalLM.from_pretrained(str(model_dir), dtype="auto", device_map={"": str(device)})
    model = PeftModel.from_pretrained(base, str(candidate), adapter_name="candidate")
    if predecessor is not None:
        model.load_adapter(str(predecessor), adapter_name="predecessor")
    return model.eval(), device


def _beginnings(model: Any, row: Encoded, device: torch.device, has_predecessor: bool) -> Iterator[ProofRow]:
    """Yield each beginning of the row's answer, with the log-probabilities of the candidate's likeliest next token."""
    tokens = [*row.prompt, *row.completion[:LONGEST]]
    ids = torch.tensor([tokens], device=device)
    first = len(row.prompt) - 1
    candidate = _log_probabilities(model, ids, "candidate")[first:-1]
    base = _log_probabilities(model, ids, "")[first:-1]
    predecessor = _log_probabilities(model, ids, "predecessor")[first:-1] if has_predecessor else None
    for at, token in enumerate(candidate.argmax(-1).tolist()):
        yield ProofRow(
            prompt=tokens[: len(row.prompt) + at],
            token=token,
            candidate=round(float(candidate[at, token]), 6),
            base=round(float(base[at, token]), 6),
            predecessor=None if predecessor is None else round(float(predecessor[at, token]), 6),
        )


def _log_probabilities(model: Any, ids: torch.Tensor, adapter: str) -> torch.Tensor:
    """Return positions x vocabulary; of the base model where no adapter is named."""
    if adapter:
        model.set_adapter(adapter)
    with torch.no_grad(), nullcontext() if adapter else model.disable_adapter():
        return torch.log_softmax(model(input_ids=ids).logits[0].float(), -1)
