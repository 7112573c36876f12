"""A device's memory: what is free, what a training took at most, and what it looks like when none is left."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import torch

GIB = 2**30
CONTAINER = Path("/sys/fs/cgroup/memory.max")  # of Linux: this container's limit, or "max"
REFUSED = ("DefaultCPUAllocator: ", "not enough memory", "can't allocate memory", "CUDA out of memory")


class MemoryExceeded(RuntimeError):
    """The device's memory is too small for this training; the message says what was tried, and what to change."""


def free_bytes(device: torch.device) -> int:
    """Return how much memory a training could still take on the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):
        free = min(free, int(CONTAINER.read_text()) - own_bytes())
    return free


def own_bytes() -> int:
    """Return the memory that this process has now."""
    return int(psutil.Process().memory_info().rss)


def peak_bytes(device: torch.device) -> int:
    """Return the most memory that this process has had: of the device, or of the machine where that is the device."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def ran_out(error: BaseException) -> bool:
    """Return whether an error means that memory was asked for and refused."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or (isinstance(error, RuntimeError) and any(text in str(error) for text in REFUSED))


@contextmanager
def clear_end(doing: str, advice: str) -> Iterator[None]:
    """Raise MemoryExceeded where the memory ends within the block."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        raise MemoryExceeded(f"out of memory {doing} ({str(error).splitlines()[0][:200]}); {advice}") from error
