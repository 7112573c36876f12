"""Rows taken out of datasets: each that has some is written again without them, under its new digest.

The old one is deleted. What knows its digest, such as a retraining's result in the log, is led on by
`manifest.located`; versions' records name the new one. Adapters stay as they are: a list says which have seen the
rows."""

from __future__ import annotations

from collections.abc import Callable
from errno import ENOENT
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import structlog
from msgspec.structs import replace

from monitor.canonical import UNREADABLE
from retrain.data import manifest
from retrain.data.dataset import Dataset
from retrain.data.example import MADE_FROM, Example
from retrain.data.manifest import DATASETS, PARTS, dataset_key
from streams.objects.store import StorageError
from streams.objects.tree import Trees

log = structlog.get_logger()

FORGOTTEN = "forgotten"  # the reason, among those for which a dataset's rows were dropped
TAUGHT = ("train", "rehearsal", "synthetic")
LEFTOVER_S = 86_400.0  # after which a writer's folder is a killed one's

Users = dict[str, list[str]]  # versions by the digest of their dataset
Theirs = Callable[
    [str, str, str, int], bool
]  # whether a row goes, by the reply it rests on, client, conversation and time


class RewrittenDataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset before and after. `lessons`: of the rows that went, those that were trained on."""

    old: str
    new: str
    rows: int
    lessons: int


class FoundDatasets(msgspec.Struct, frozen=True, kw_only=True):
    """The datasets with such rows, as `rewrite` takes them; and the digests of those that cannot be read, whose rows
    are not known."""

    plans: list[RewrittenDataset]
    unread: list[str]


def holding(trees: Trees, theirs: Theirs) -> FoundDatasets:
    """Find the datasets with such rows. Raise OSError where the store is away, or a file is not let be read."""
    plans, unread = [], []
    for digest in trees.digests(DATASETS):
        if manifest.current(trees, digest) != digest:  # rewritten, and left by a kill
            continue
        try:
            folder = trees.fetch(dataset_key(digest))
            if any(_has(path, theirs) for path in manifest.part_files(folder).values()):
                plans.append(planned(trees, digest, theirs))
        except (OSError, ValueError, KeyError, *UNREADABLE) as error:
            if isinstance(error, StorageError) or getattr(error, "errno", None) not in (None, ENOENT):
                raise  # the store is away, or this machine's disk is full
            if manifest.current(trees, digest) == digest:  # else another order was at it
                log.warning("a dataset cannot be read: whom it has is not known", digest=digest, why=str(error))
                unread.append(digest)
    return FoundDatasets(plans=plans, unread=unread)


def planned(trees: Trees, digest: str, theirs: Theirs) -> RewrittenDataset:
    """Return what `rewrite` will do; nothing is written yet. Raise OSError where there is no such dataset."""
    known, dataset = manifest.load(trees, digest)
    left = _without(dataset, theirs)
    new = manifest.listed(left, alias=known.alias, base_model=known.base_model, since_ms=known.since_ms)
    gone = {name: len(getattr(dataset, name)) - len(getattr(left, name)) for name in PARTS}
    return RewrittenDataset(
        old=digest, new=new.digest, rows=sum(gone.values()), lessons=sum(gone[name] for name in TAUGHT)
    )


def users(trees: Trees) -> Users:
    """Return the versions by the very dataset that their record names. Each record is read: once for all datasets."""
    found: Users = {}
    for version in manifest.versions(trees):
        found.setdefault(manifest.noted(trees, version)[0], []).append(version)
    return found


def judged(trees: Trees) -> Users:
    """Return the versions that were judged on a dataset besides their own, by each digest that it had since: erasures
    lead no such record on."""
    found: Users = {}
    for digest, versions in manifest.judged(trees).items():
        for edition in manifest.editions(trees, digest):
            found.setdefault(edition, []).extend(versions)
    return found


def rewrite(trees: Trees, plan: RewrittenDataset, theirs: Theirs, users: Users) -> None:
    """Put the dataset without the rows, lead those on who know the old one, then delete that. It may be killed at any
    point and done again, and is done again for a training that was under way and recorded the old one since."""
    if manifest.current(trees, plan.old) == plan.old:
        of, dataset = manifest.load(trees, plan.old)
        left = _without(dataset, theirs)
        stored = manifest.store(trees, left, alias=of.alias, base_model=of.base_model, since_ms=of.since_ms)
        manifest.supersede(trees, plan.old, stored.digest)
    now = manifest.current(trees, plan.old)  # not the plan's, where another order was quicker
    for version in users.get(plan.old, ()):
        known, parent = manifest.noted(trees, version)
        if known == plan.old:
            manifest.remember(trees, version, now, parent)
    trees.delete(dataset_key(plan.old))


def descended(trees: Trees, versions: set[str]) -> list[str]:
    """Return the versions whose weights began from one of these, or from such a one, in their order."""
    parents = {each: manifest.noted(trees, each)[1] for each in manifest.versions(trees)}
    found = set(versions)
    while more := {each for each, parent in parents.items() if parent in found and each not in found}:
        found |= more
    return sorted(found - versions)


def sweep(trees: Trees, now_s: float) -> None:
    """Remove what killed writers of datasets left on this machine a day ago or earlier, and this machine's copies of
    datasets that were rewritten."""
    trees.sweep(DATASETS, now_s - LEFTOVER_S)
    manifest.swept(trees)


def _has(path: Path, theirs: Theirs) -> bool:
    found = pq.read_table(path)
    chats = found["conversation"].to_pylist() if "conversation" in found.column_names else [""] * found.num_rows
    about = [id.partition(MADE_FROM)[0] for id in found["id"].to_pylist()]
    return any(map(theirs, about, found["client"].to_pylist(), chats, found["time_ms"].to_pylist()))


def _without(dataset: Dataset, theirs: Theirs) -> Dataset:
    def kept(rows: list[Example]) -> list[Example]:
        return [row for row in rows if not theirs(row.about, row.client, row.conversation, row.time_ms)]

    parts = {name: kept(getattr(dataset, name)) for name in PARTS}
    gone = sum(len(getattr(dataset, name)) - len(parts[name]) for name in PARTS)
    counted = {**dataset.dropped, FORGOTTEN: dataset.dropped.get(FORGOTTEN, 0) + gone}
    return replace(dataset, **parts, dropped=counted)
