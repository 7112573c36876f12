"""A writer of a tree that kills itself: `python -m tests.streams.support.tree_writer SETTINGS VAR KEY MOMENT`.

Moments: `listing`, when a bucket's files are there and their list is not; `rename`, when only the folder is to be moved
into place; `never`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn
from unittest import mock

import msgspec

from streams.objects import tree
from streams.objects.bucket import BucketStore
from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings

FILES = {"one.bin": bytes(range(256)) * 100, "two.json": b"{}"}


def main() -> None:
    settings, var, key, moment = sys.argv[1:]
    trees = Storage(msgspec.json.decode(settings, type=StorageSettings), Path(var)).trees(5.0)
    put = BucketStore.put_if_absent

    def mortal(store: BucketStore, name: str, content: bytes) -> bool:
        return die() if name.endswith(tree.LISTING) and moment == "listing" else put(store, name, content)

    rename = die if moment == "rename" else Path.rename
    with mock.patch.object(BucketStore, "put_if_absent", mortal), mock.patch.object(Path, "rename", rename):
        write(trees, key)


def write(trees: tree.Trees, key: str, files: dict[str, bytes] = FILES) -> Path:
    """Put a tree of these files."""
    with trees.scratch(key.rpartition("/")[0]) as scratch:
        for name, content in files.items():
            (scratch / name).write_bytes(content)
        return trees.put(key, scratch)


def die(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("is dead by now")


if __name__ == "__main__":
    main()
