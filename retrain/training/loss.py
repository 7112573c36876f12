"""The loss on the answers' tokens, and on no others.

With a vocabulary of 262,144 the logits of a prompt cost more than the model itself: Hugging Face's `Trainer`, which
computes them all, takes more than twice as long on short messages. Those of a long answer take most of the memory,
so there are never two tensors of their size: the loss needs no copy, and the gradient takes the logits' place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.autograd.function import FunctionCtx

from retrain.training.batches import Encoded

TOKENS = 32  # of an answer, looked at together


def answer_loss(model: Any, rows: Sequence[Encoded], pad: int, device: torch.device) -> torch.Tensor:
    """Return the sum of the loss over the answers' tokens, in nats."""
    wanted = torch.tensor([token for row in rows for token in row.completion])
    logits = answer_logits(model, rows, pad, device)
    total: torch.Tensor = CrossEntropy.apply(logits, wanted.to(device))  # type: ignore[no-untyped-call]
    return total


class CrossEntropy(torch.autograd.Function):
    """The sum of the cross entropy in float32, of logits (tokens x vocabulary) in any type. The backward pass
    overwrites the logits: PyTorch raises RuntimeError where the model needs them for its own gradient."""

    @staticmethod
    def forward(ctx: FunctionCtx, logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Return the sum, in nats."""
        norms = torch.cat([logits[part].float().logsumexp(-1) for part in parts(len(wanted))])
        ctx.save_for_backward(logits, wanted, norms)
        return (norms - logits.gather(1, wanted[:, None])[:, 0].float()).sum()

    @staticmethod
    def backward(ctx: Any, weight: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return the gradient: each token's chance, less 1 for the one that is wanted."""
        logits, wanted, norms = ctx.saved_tensors
        for part in parts(len(wanted)):
            chances = (logits[part].float() - norms[part, None]).exp_()
            chances.scatter_add_(1, wanted[part, None], chances.new_full((len(chances), 1), -1.0))
            logits[part] = chances.mul_(weight)
        return logits, None


def parts(tokens: int) -> Iterator[slice]:
    """Yield slices of at most TOKENS."""
    return (slice(at, at + TOKENS) for at in range(0, tokens, TOKENS))


def answer_logits(model: Any, rows: Sequence[Encoded], pad: int, device: torch.device) -> torch.Tensor:
    """Return the model's logits for each of the answers' tokens, given those before: tokens x vocabulary."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    before_answer = torch.zeros((len(rows), width), dtype=torch.bool)  # where the next token is the answer's
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row.prompt + row.completion)
        mask[i, : len(row)] = 1
        before_answer[i, len(row.prompt) - 1 : len(row) - 1] = True
    with head_only_at(model, before_answer.to(device)), calculating(model, device):
        output = model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False)
    logits: torch.Tensor = output.logits[0]
    return logits


def calculating(model: Any, device: torch.device) -> torch.autocast:
    """Let adapters, whose weights are float32, calculate in the model's own type within the block, where that type is a
    short one. Else PEFT keeps a float32 copy of each adapter's input for the backward pass: 19 GiB for 8B
    parameters."""
    dtype = model.get_input_embeddings().weight.dtype
    return torch.autocast(device.type, dtype, enabled=dtype in (torch.bfloat16, torch.float16))


@contextmanager
def head_only_at(model: Any, places: torch.Tensor) -> Iterator[None]:
    """Let the model's head see, within the block, only the hidden states at `places` (rows x positions), as one row.

    It is a hook, so that the model still scales or caps its logits itself; and it is one matrix product, where a batch
    of them would read the head's weights once for each row."""

    def select(head: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        return (given[0][places].unsqueeze(0),)

    handle = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()
