"""One training process or several: this one's rank, by `torchrun`, and the sum over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """This process among the `count` that train together."""

    rank: int
    count: int
    device: torch.device

    @classmethod
    def of(cls, environment: Mapping[str, str], device: str | None = None, threads: int | None = None) -> ProcessGroup:
        """Read the group from `torchrun`'s environment; without it the process is alone. `threads`: of the processor,
        at most."""
        if threads is not None:
            torch.set_num_threads(threads)
        rank, count = int(environment.get("RANK", "0")), int(environment.get("WORLD_SIZE", "1"))
        chosen = torch.device(device or _device(environment))
        if count > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        return cls(rank, count, chosen)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and reports progress."""
        return self.rank == 0

    def gather(self, weights: Sequence[torch.nn.Parameter], loss: float) -> float:
        """Sum the gradients of all processes in place; return the sum of their losses."""
        if self.count == 1:
            return loss
        for weight in weights:
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
            distributed.all_reduce(weight.grad)
        total = torch.tensor(loss, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return float(total)

    def finish(self) -> None:
        """Wait for the other processes, then leave the group."""
        if self.count > 1:
            distributed.barrier()
            distributed.destroy_process_group()


def _device(environment: Mapping[str, str]) -> str:
    return f"cuda:{environment.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
