"""Sets of synthetic rows, each kept as a dataset that has no other part: it has a digest, can be shown and compared as
any, and an erasure finds whose rows it was made from."""

from __future__ import annotations

from collections.abc import Sequence

from retrain.data import manifest
from retrain.data.dataset import Dataset
from retrain.data.example import Example
from retrain.data.manifest import DATASETS, Manifest
from streams.objects.tree import Trees

LISTED = f"{DATASETS}/synthetic"
OF_NO_TIME = -1  # in place of the time since when a dataset's rows are fresh: no version was trained on it alone


def store(trees: Trees, alias: str, rows: Sequence[Example], refused: dict[str, int]) -> Manifest:
    """Put a set into the store, for the alias's retrainings to come; the same rows are the same set."""
    dataset = Dataset([], [], [], [], {why: count for why, count in sorted(refused.items()) if count}, [], list(rows))
    listed = manifest.store(trees, dataset, alias=alias, base_model="", since_ms=OF_NO_TIME)
    trees.store.put_if_absent(f"{LISTED}/{alias}/{listed.digest}", b"")
    return listed


def listed(trees: Trees, alias: str) -> list[Manifest]:
    """Return the manifests of the alias's sets, or of what erasures left of them."""
    names = [key.rpartition("/")[2] for key in trees.store.list(f"{LISTED}/{alias}")]
    digests = dict.fromkeys(manifest.current(trees, name) for name in sorted(names))
    return [manifest.listing(trees, digest) for digest in digests]


def rows(trees: Trees, alias: str) -> list[Example]:
    """Return the rows of all sets of the alias, each once. Raise OSError where one cannot be read."""
    found = {row.id: row for each in listed(trees, alias) for row in manifest.load(trees, each.digest)[1].synthetic}
    return list(found.values())


def withdraw(trees: Trees, alias: str, digest: str) -> str:
    """Take a set away from the retrainings to come, by its digest, of which the beginning will do; return the digest.
    Raise LookupError where none or several begin so."""
    names = [key.rpartition("/")[2] for key in trees.store.list(f"{LISTED}/{alias}")]
    found = [name for name in names if digest and manifest.current(trees, name).startswith(digest)]
    if len({manifest.current(trees, name) for name in found}) != 1:
        raise LookupError(f"{digest!r} begins {len(found)} sets of synthetic rows of {alias}, expected one")
    for name in found:
        trees.store.delete(f"{LISTED}/{alias}/{name}")
    return manifest.current(trees, found[0])
