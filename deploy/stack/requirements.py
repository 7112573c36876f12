"""Requirements on the machine before anything is started: a model, memory, disk. Errors say what to do."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import psutil

from deploy.stack.engine import LIBRARY_REMEDY, missing_library
from deploy.stack.settings import StackSettings
from retrain.base_model import check_model

GIB = 1024**3
DISK_NEEDED = 4 * GIB  # logs, events, lake, adapters and checkpoints of a demo, with room
ENGINE_OVERHEAD = 3 * GIB  # vLLM's two processes without weights and KV cache, measured
DEMO_WEIGHTS = int(1.1 * GIB)
WEIGHTS = ("*.safetensors", "*.bin")


class NotEnough(OSError):
    """The machine lacks memory, disk or a library."""


def require(settings: StackSettings, engines: Sequence[str]) -> None:
    """Check that the replicas named can be started here. Raise FileNotFoundError or ValueError where the model is none,
    NotEnough for memory, disk and the engine's libraries."""
    existing = nearest_folder(settings.var)
    check_disk(existing, shutil.disk_usage(existing).free)
    if engines and settings.model is not None:
        check_model(settings.model)
    if engines and (lacking := missing_library()):
        raise NotEnough(f"{lacking} is missing, and vLLM for processors is linked to it ({LIBRARY_REMEDY})")
    if engines and settings.device != "cuda":
        check_memory(len(engines) * engine_bytes(settings), psutil.virtual_memory().available)


def check_disk(folder: Path, free: int) -> None:
    """Raise NotEnough where too little disk is free."""
    if free < DISK_NEEDED:
        raise NotEnough(
            f"{folder}: {free / GIB:.1f} GiB free, expected {DISK_NEEDED / GIB:.0f} GiB; free some, or set stack.var"
        )


def check_memory(needed: int, available: int) -> None:
    """Raise NotEnough where too little memory is available."""
    if available < needed:
        raise NotEnough(
            f"{available / GIB:.1f} GiB of memory available, vLLM needs about {needed / GIB:.1f} GiB; close other "
            "programs, set fewer stack.engine_ports, or take a smaller stack.model"
        )


def engine_bytes(settings: StackSettings) -> int:
    """Estimate the memory that one replica takes on a CPU."""
    weights = weights_bytes(settings.model) if settings.model else DEMO_WEIGHTS
    return ENGINE_OVERHEAD + 2 * weights + int(settings.kv_cache_gb * GIB)


def weights_bytes(folder: Path) -> int:
    """Return the size of the model's weight files."""
    return sum(path.stat().st_size for pattern in WEIGHTS for path in folder.glob(pattern))


def nearest_folder(path: Path) -> Path:
    """Return the path, or its first parent that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
