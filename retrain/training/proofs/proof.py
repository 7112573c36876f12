"""The proof rows of an adapter: by which answers an engine shows that it computes with its weights.

Prefixes are drawn from the vocabulary, within the chat template, so that they hold no client's words. Kept are those
after which the adapter is farthest from base model and predecessor; then the tolerance is what rounding makes of the
adapter's own answers, with room, if that is a quarter of the smallest gap at most. Else no proof is possible."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
import torch
from msgspec.structs import replace

from retrain.training.prompting import load_tokenizer, render, token_ids
from retrain.training.proofs.serving_model import PREDECESSOR, ServingModel
from streams.files import put
from streams.identity import PROOF_FILE
from streams.proof import Proof, ProofRow, distance, encode, needed_gap

log = structlog.get_logger()

DRAWN = 40  # prefixes that are looked at
WORDS = (4, 16)  # tokens of the vocabulary in one
ROWS = 16  # prefixes that are kept
TOKENS = 10  # likeliest next ones that a row names; engines name 20
ROUNDINGS = 3  # calculations that the noise is the largest distance of
ROOM = 1.5  # tolerances are so many times the noise; vLLM was at 0.75 times the noise from the job
LEAST_TOLERANCE = 0.01  # nats; engines approximate what the job calculates exactly
DIGITS = 5  # of a figure in nats
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def write_proof(adapter: Path, model_dir: Path, predecessor: Path | None, dtype: str) -> Proof:
    """Put the proof into the adapter's folder and return it; its digest is another then. Raises what `proof` raises."""
    found = proof(adapter, model_dir, predecessor, dtype)
    put(adapter / PROOF_FILE, encode(found))
    if found.impossible:
        log.warning("no proof of effect is possible", why=found.impossible)
    return found


def proof(adapter: Path, model_dir: Path, predecessor: Path | None, dtype: str) -> Proof:
    """Return the proof of an adapter that follows the `predecessor`, for engines that calculate in `dtype` ("auto": see
    `serving_dtype`). Deterministic on one machine. Raises OSError or ValueError where model or adapter cannot be
    used."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind = serving_dtype(dtype, model_dir, device)
    try:
        model = ServingModel.load(model_dir, adapter, predecessor, DTYPES[kind], device)
        known = [each for each in drawn(load_tokenizer(model_dir)) if max(each) < model.vocabulary]
        return chosen(model, known, kind)
    except RuntimeError as error:  # PyTorch's, for want of memory too: the unquantised model is larger than the trained
        return Proof(dtype=kind, impossible=f"the answers could not be calculated in {kind}: {error}")


def chosen(model: ServingModel, prefixes: Sequence[Sequence[int]], kind: str) -> Proof:
    """Return the proof by those of the prefixes that tell most."""
    right, others = model.answers(prefixes), {"base": model.answers(prefixes, "")}
    if model.has_predecessor:
        others["predecessor"] = model.answers(prefixes, PREDECESSOR)
    rows = [
        _row(prefix, right[i], {name: each[i] for name, each in others.items()}) for i, prefix in enumerate(prefixes)
    ]
    rows = sorted(rows, key=_gap, reverse=True)[:ROWS]
    return judged(rows, _noise(model, rows), _faults(model, rows), kind)


def judged(rows: Sequence[ProofRow], noise: float, faults: Mapping[str, float], kind: str) -> Proof:
    """Return the proof with a tolerance that noise does not exceed, or the reason why there is none."""
    tolerance, smallest = max(ROOM * noise, LEAST_TOLERANCE), min(map(_gap, rows))
    about = Proof(dtype=kind, noise=_rounded(noise), faults=dict(faults))
    if needed_gap(tolerance) > smallest:
        why = (
            f"in {kind} the adapter's answers differ from the base model's or its predecessor's by {smallest:.3g} "
            f"nats, and by {noise:.3g} from themselves where sums are rounded otherwise; expected a difference of "
            f"{needed_gap(tolerance):.3g}"
        )
        return replace(about, impossible=why)
    return replace(about, tolerance=_rounded(tolerance), rows=list(rows))


def drawn(tokenizer: Any) -> list[list[int]]:
    """Return the prefixes that are looked at: words of the vocabulary as a user's message, always the same ones (where
    a template writes the day, those of the day)."""
    rng, special = random.Random(0), set(tokenizer.all_special_ids)
    words = sorted(set(range(len(tokenizer))) - special - set(tokenizer.added_tokens_decoder))
    texts = [tokenizer.decode(rng.sample(words, rng.randint(*WORDS))) for _ in range(DRAWN)]
    return [token_ids(tokenizer, _asked(tokenizer, text)) for text in texts]


def serving_dtype(dtype: str, model_dir: Path, device: torch.device) -> str:
    """Return the type in which engines calculate: on a CPU float32, else the model's own, and bfloat16 for float32."""
    if dtype != "auto":
        return dtype
    if device.type == "cpu":
        return "float32"
    from transformers import AutoConfig

    own = str(AutoConfig.from_pretrained(str(model_dir)).get_text_config().dtype).removeprefix("torch.")
    return own if own in DTYPES and own != "float32" else "bfloat16"


def _asked(tokenizer: Any, text: str) -> str:
    try:
        return render(tokenizer, [{"role": "user", "content": text}])
    except Exception:  # a template may refuse a lone question
        return text


def _row(prefix: Sequence[int], right: torch.Tensor, others: Mapping[str, torch.Tensor]) -> ProofRow:
    tokens = right.topk(min(TOKENS, len(right))).indices.tolist()
    expected = _named(right, tokens)
    gaps = {name: _rounded(distance([expected], [_named(each, tokens)])) for name, each in others.items()}
    return ProofRow(prefix=list(prefix), expected=expected, gaps=gaps)


def _named(answer: torch.Tensor, tokens: Sequence[int]) -> dict[int, float]:
    return {token: _rounded(float(answer[token])) for token in tokens}


def _gap(row: ProofRow) -> float:
    return min(row.gaps.values())


def _noise(model: ServingModel, rows: Sequence[ProofRow]) -> float:
    found = []
    for seed in range(ROUNDINGS):
        with model.rounding_otherwise(seed):
            found.append(_apart(model, rows))
    return max(found)


def _faults(model: ServingModel, rows: Sequence[ProofRow]) -> dict[str, float]:
    found = {}
    for name, fault in model.faults().items():
        with fault():
            found[name] = _rounded(_apart(model, rows))
    return found


def _apart(model: ServingModel, rows: Sequence[ProofRow]) -> float:
    """Return how far the model's answers now are from those expected."""
    now = model.answers([row.prefix for row in rows])
    given = [_named(answer, list(row.expected)) for row, answer in zip(rows, now, strict=True)]
    return distance([row.expected for row in rows], given)


def _rounded(nats: float) -> float:
    return round(nats, DIGITS)
