"""The header of a safetensors file, read without its tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import msgspec

from monitor.canonical import UNREADABLE

POINTER = b"version https://git-lfs"  # how a file begins that Git LFS has not fetched yet
LENGTH = 8  # bytes that hold the header's length
METADATA = "__metadata__"


class _HeaderEntry(msgspec.Struct, frozen=True):
    """A tensor as the header has it; offsets count from the header's end."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


@dataclass(frozen=True, slots=True)
class TensorExtent:
    """A tensor's type and shape, and the range of its bytes in the file."""

    dtype: str
    shape: list[int]
    first: int
    end: int

    @property
    def element(self) -> float:
        """Bytes of one element."""
        return (self.end - self.first) / max(1, math.prod(self.shape))


def is_pointer(path: Path) -> bool:
    """Check whether the file is a pointer of Git LFS to the real one."""
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER


def contents(path: Path) -> dict[str, TensorExtent]:
    """Return the extent of each tensor, by its name. Raises ValueError where the file is not whole: a Git LFS pointer,
    cut off, or no safetensors file."""
    if is_pointer(path):
        raise ValueError(f"{path}: a Git LFS pointer, not the weights; fetch them with `git lfs pull`")
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        if size < LENGTH or length > size - LENGTH:
            raise ValueError(f"{path}: {size} bytes are too few for its header; cut off, or no safetensors file")
        tensors = _tensors(path, file.read(length))
    start = LENGTH + length
    found = {
        name: TensorExtent(each.dtype, each.shape, *(start + offset for offset in each.data_offsets))
        for name, each in tensors.items()
    }
    wanted = max((extent.end for extent in found.values()), default=start)
    if size != wanted:
        raise ValueError(f"{path}: {size} bytes, expected {wanted} by its header: cut off or damaged; fetch it again")
    return found


def _tensors(path: Path, raw: bytes) -> dict[str, _HeaderEntry]:
    try:
        found = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        return {
            name: msgspec.json.decode(value, type=_HeaderEntry) for name, value in found.items() if name != METADATA
        }
    except UNREADABLE as error:
        raise ValueError(f"{path}: its header cannot be read, no safetensors file: {error}") from error
