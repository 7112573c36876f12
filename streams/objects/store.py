"""What a store of objects promises, and its errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._=-]*(/[A-Za-z0-9_-][A-Za-z0-9._=-]*)*")
ATTEMPTS = 10  # against other writers of one key


class StorageError(OSError):
    """The store is away or refuses; the message names the setting. What is asked for may be there all the same."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object's content, and the mark that another content would not have; only its store reads it."""

    data: bytes
    etag: str


class ObjectStore(Protocol):
    """Objects by key. Each method raises StorageError where the store is away for longer than its patience or refuses,
    and ValueError for a key that is none."""

    @property
    def name(self) -> str:
        """The address, for messages."""

    @property
    def folder(self) -> Path | None:
        """The folder that the objects stand in; None for a bucket's."""

    def put_if_absent(self, key: str, content: bytes | Path, *, forced: bool = True) -> bool:
        """Put the object, whole or not at all, where there is none. Return whether this content stands there now: a
        writer that must know whether it was the first puts what no other does. Not `forced`, a power cut may take it
        out of a folder again, or empty it: for what is made again then."""

    def put_if_match(self, key: str, content: bytes, etag: str, *, forced: bool = True) -> bool:
        """Put the object where what stands there has this mark. Return as `put_if_absent`."""

    def get(self, key: str) -> Stored:
        """Return the object. Raise FileNotFoundError where there is none."""

    def holds(self, key: str) -> bool:
        """Return whether there is such an object."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys under `prefix/` in their order; none where there is no such prefix."""

    def older(self, prefix: str, before_s: float) -> Iterator[str]:
        """Yield those of the keys that were put before that time, in seconds since the epoch, as the store knows it."""

    def delete(self, key: str) -> None:
        """Delete the object; one that is not there is deleted already."""


def replace(store: ObjectStore, key: str, content: bytes) -> None:
    """Put the object, whatever stands there. Raise as the store, and StorageError where other writers never rest."""
    for _ in range(ATTEMPTS):
        if store.put_if_absent(key, content):
            return
        try:
            etag = store.get(key).etag
        except FileNotFoundError:  # deleted, or another's first put is under way
            continue
        if store.put_if_match(key, content, etag):
            return
    raise StorageError(f"{store.name}/{key}: other writers were quicker {ATTEMPTS} times in a row")


def checked(key: str) -> str:
    """Return the key. Raise ValueError where it could lead elsewhere, or is hidden in a folder.

    >>> checked("adapters/support/0123")
    'adapters/support/0123'
    """
    if not KEY.fullmatch(key):
        raise ValueError(f"key {key!r}: expected names of letters, digits, '-', '_', inner '.' and '=', parted by '/'")
    return key


def content_of(content: bytes | Path) -> bytes:
    """Return the bytes to put."""
    return content.read_bytes() if isinstance(content, Path) else content
