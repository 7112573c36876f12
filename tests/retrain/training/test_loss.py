"""The loss and its gradient are those of PyTorch, in the types that models calculate in, and need no second tensor."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from retrain.training.loss import TOKENS, CrossEntropy


def loss(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    total: torch.Tensor = CrossEntropy.apply(logits, wanted)  # type: ignore[no-untyped-call]
    return total


def gradient(total: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    (found,) = torch.autograd.grad(total, of)
    return found


def drawn(tokens: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(tokens)
    weights = 4 * torch.randn(tokens, 50, generator=chance)
    return weights.to(dtype).requires_grad_(), torch.randint(50, (tokens,), generator=chance)


@pytest.mark.parametrize("tokens", [1, TOKENS - 1, TOKENS, 2 * TOKENS + 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loss_and_gradient_are_pytorchs(tokens: int, dtype: torch.dtype) -> None:
    (ours, wanted), (theirs, _) = drawn(tokens, dtype), drawn(tokens, dtype)
    own = loss(2 * ours, wanted)
    peer = functional.cross_entropy((2 * theirs).float(), wanted, reduction="sum")
    assert torch.allclose(own, peer)
    assert torch.allclose(gradient(3 * own, ours), gradient(3 * peer, theirs), atol=1e-6)


def test_the_gradient_takes_the_logits_place() -> None:
    weights, wanted = drawn(5, torch.float32)
    logits = weights * 1.0
    found, _ = CrossEntropy.backward(loss(logits, wanted).grad_fn, torch.tensor(1.0))
    assert found.data_ptr() == logits.data_ptr()


def test_a_model_that_needs_its_logits_for_its_own_gradient_is_an_error_and_no_wrong_gradient() -> None:
    weights, wanted = drawn(5, torch.float32)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gradient(loss(weights.tanh(), wanted), weights)  # tanh's gradient is made of its result
    capped = 30 * (weights / 30).tanh()  # as models cap theirs
    assert gradient(loss(capped, wanted), weights).any()
