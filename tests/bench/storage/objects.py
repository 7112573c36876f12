"""An adapter of 10 MB from the trainer's machine to a replica's, through S3's interface on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import obstore

from streams.objects.bucket import BucketStore
from streams.objects.opening import Storage
from streams.objects.tree import Trees
from tests.bench.tools.figures import Figure
from tests.bench.tools.scratch import scratch
from tests.support.folder import in_folder
from tests.support.s3 import KEYS, S3, server

SIZE = 10_000_000  # bytes: rank 16 on a model of a billion parameters has about that
ROUNDS = 20
GOAL_S = 1.0
PREFIX = "adapters/support"


def measured(quick: bool) -> list[Figure]:
    """The slowest of each kind; in turns, so that a busy moment meets all."""
    rounds = ROUNDS // 10 if quick else ROUNDS
    times: dict[str, list[float]] = {name: [] for name in ("put", "fetch", "again", "folder", "bare")}
    with scratch("objects") as folder, server() as s3, mock.patch.dict(os.environ, KEYS):
        for at in range(rounds):
            for name, took in once(s3, folder, f"{at:064x}").items():
                times[name].append(took)
    worst = {name: max(found) for name, found in times.items()}
    half = {name: sorted(found)[rounds // 2] for name, found in times.items()}
    note = f"the slowest of {rounds}; half of them {half['fetch']:.3f} s"
    return [
        Figure("a replica fetches 10 MB", worst["fetch"], "s", GOAL_S, "lower", "a bare get", worst["bare"], note),
        Figure("fetched again: from the cache", worst["again"] * 1000, "ms"),
        Figure("a trainer puts 10 MB into a bucket", worst["put"], "s", note=f"half of them {half['put']:.3f} s"),
        Figure("a trainer puts 10 MB into a folder", worst["folder"], "s", note=f"half of them {half['folder']:.3f} s"),
    ]


def once(s3: S3, folder: Path, digest: str) -> dict[str, float]:
    """Seconds of each step, with an adapter of its own."""
    trainer, replica = (Storage(s3.storage("bench"), folder / name).trees() for name in ("trainer", "replica"))
    content, key = os.urandom(SIZE), f"{PREFIX}/{digest}"
    assert isinstance(replica.store, BucketStore)
    took = {"put": put(trainer, key, content), "folder": put(in_folder(folder / "local"), key, content)}
    remote, name = replica.store.remote, next(each for each in replica.store.list(key) if each.endswith("weights"))
    steps: dict[str, Callable[[], object]] = {
        "fetch": lambda: replica.fetch(key),
        "again": lambda: replica.fetch(key),
        "bare": lambda: obstore.get(remote, name).bytes(),
    }
    for step, act in steps.items():
        began = time.perf_counter()
        act()
        took[step] = time.perf_counter() - began
    assert (replica.fetch(key) / "weights").read_bytes() == content
    return took


def put(trees: Trees, key: str, content: bytes) -> float:
    """Seconds until the tree is there."""
    with trees.scratch(PREFIX) as made:
        (made / "weights").write_bytes(content)
        (made / "config").write_bytes(b"{}")
        began = time.perf_counter()
        trees.put(key, made)
        return time.perf_counter() - began
