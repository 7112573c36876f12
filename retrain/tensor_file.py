"""What a safetensors file says about itself, read without its tensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

POINTER = b"version https://git-lfs"  # how a file begins that Git LFS has not fetched yet
LENGTH = 8  # bytes that give the header's


def is_pointer(path: Path) -> bool:
    """Whether the file only says where Git LFS keeps the real one."""
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER


def header(path: Path) -> dict[str, Any]:
    """Name -> dtype, shape and place of each tensor, and `__metadata__`. Raises ValueError where the file is not whole:
    a Git LFS pointer, cut off, or no safetensors file."""
    if is_pointer(path):
        raise ValueError(f"{path}: a Git LFS pointer, not the weights; fetch them with `git lfs pull`")
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        if size < LENGTH or length > size - LENGTH:
            raise ValueError(f"{path}: {size} bytes are too few for its header; cut off, or no safetensors file")
        found = _parsed(path, file.read(length))
    wanted = LENGTH + length + max((end for _, end in map(_place, _tensors(found))), default=0)
    if size != wanted:
        raise ValueError(f"{path}: {size} bytes, expected {wanted} by its header: cut off or damaged; fetch it again")
    return found


def _parsed(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
        if not isinstance(found, dict) or not all(map(_place, _tensors(found))):
            raise ValueError("expected tensors by name")
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: its header cannot be read, no safetensors file: {error}") from error
    return found


def _tensors(found: dict[str, Any]) -> list[Any]:
    return [value for name, value in found.items() if name != "__metadata__"]


def _place(tensor: Any) -> tuple[int, int]:
    first, end = tensor["data_offsets"]
    return int(first), int(end)
