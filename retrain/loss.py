"""The loss where the answer is, and nowhere else.

With a vocabulary of 262,144 the logits of a prompt cost more than the model itself: Hugging Face's `Trainer`, which
computes them all, takes more than twice as long on short messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from retrain.batches import Encoded

IGNORED = -100


def answer_loss(model: Any, rows: Sequence[Encoded], pad: int, device: torch.device) -> torch.Tensor:
    """Sum of the loss over the answers' tokens, in nats. Rows are padded on the left, so that all answers end
    together, and logits are asked for at those last positions only."""
    width = max(map(len, rows))
    answer = max(len(row.completion) for row in rows)
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    labels = torch.full((len(rows), answer), IGNORED)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :] = torch.tensor(row.prompt + row.completion)
        mask[i, width - len(row) :] = 1
        labels[i, answer - len(row.completion) :] = torch.tensor(row.completion)
    logits = model(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0).to(device),
        logits_to_keep=answer + 1,
        use_cache=False,
    ).logits[:, :-1]
    wanted = labels.to(device).flatten()
    picked = logits.flatten(0, 1)[wanted != IGNORED].float()
    return functional.cross_entropy(picked, wanted[wanted != IGNORED], reduction="sum")
