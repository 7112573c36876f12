"""Datasets, each under the sha256 of its content: Parquet for the rows, JSON for the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from monitor.canonical import UNREADABLE
from retrain.data.dataset import Dataset
from retrain.data.example import Example
from retrain.data.parts import DatasetPart, counted
from streams.objects import store as objects
from streams.objects.store import StorageError
from streams.objects.tree import Trees

log = structlog.get_logger()
T = TypeVar("T")

DATASETS = "datasets"  # the prefix of their keys, and their folder
VERSIONS, JUDGED, REWRITTEN = f"{DATASETS}/versions", f"{DATASETS}/judged", f"{DATASETS}/rewritten"
PARTS = ("train", "rehearsal", "validation", "regression", "quarantine", "synthetic")
LATER = ("quarantine", "synthetic")  # which datasets of earlier releases lack
WHO = ("user", "conversation", "unit", "selection", "by", "tenant", "quarantined")
JSON = ("messages", "tags", "request")  # fields that are columns of JSON text


class Manifest(msgspec.Struct, frozen=True):
    """A dataset's origin and contents."""

    digest: str
    alias: str
    base_model: str
    since_ms: int  # fresh rows are from here on
    parts: dict[str, DatasetPart]
    dropped: dict[str, int]  # filter -> rows that it removed


def store(trees: Trees, dataset: Dataset, *, alias: str, base_model: str, since_ms: int) -> Manifest:
    """Put the dataset under its digest, whole or not at all; the same rows give the same dataset."""
    manifest = listed(dataset, alias=alias, base_model=base_model, since_ms=since_ms)
    if _whole(trees, manifest.digest) is None:
        trees.forget(dataset_key(manifest.digest))  # one that cannot be read
        with trees.scratch(DATASETS) as scratch:
            _write(scratch, dataset, manifest)
            trees.put(dataset_key(manifest.digest), scratch)
    return manifest


def listed(dataset: Dataset, *, alias: str, base_model: str, since_ms: int) -> Manifest:
    """Return the manifest under which `store` would put the dataset."""
    parts = {name: counted(getattr(dataset, name)) for name in PARTS}
    counting = {
        name: part for name, part in parts.items() if part.rows or name != "synthetic"
    }  # digests of before hold
    together = "".join(f"{name}:{part.sha256}\n" for name, part in counting.items())
    digest = hashlib.sha256(f"{alias}\0{base_model}\0{together}".encode()).hexdigest()
    return Manifest(digest, alias, base_model, since_ms, parts, dataset.dropped)


def dataset_key(digest: str) -> str:
    """Return the key of a dataset's tree in the store of objects.

    >>> dataset_key("0123")
    'datasets/0123'
    """
    return f"{DATASETS}/{digest}"


def load(trees: Trees, digest: str) -> tuple[Manifest, Dataset]:
    """Return the dataset that `store` put, or what an erasure left of it. Raise FileNotFoundError where there is none,
    ValueError, which names it, where its files are damaged."""
    folder = located(trees, digest)
    try:
        manifest = _manifest(folder)
        parts = {name: _read(path) for name, path in part_files(folder).items()}
        return manifest, Dataset(**parts, dropped=manifest.dropped)
    except (ValueError, KeyError, TypeError, *UNREADABLE) as error:
        raise ValueError(
            f"dataset {digest}: its files in {folder} are damaged ({error}), expected what a retraining put there"
        ) from error


def part_files(folder: Path) -> dict[str, Path]:
    """Return the file of each part of the dataset in a folder."""
    files = {name: folder / f"{name}.parquet" for name in PARTS}
    return {name: path for name, path in files.items() if name not in LATER or path.exists()}


def listing(trees: Trees, digest: str) -> Manifest:
    """Return the manifest of a dataset, or of what an erasure left of it. Raises OSError where there is none."""
    return _manifest(located(trees, digest))


def located(trees: Trees, digest: str) -> Path:
    """Return the folder of a dataset; where an erasure took rows out of it, the folder of what is left."""
    found = current(trees, digest)
    if found != digest:
        trees.forget(dataset_key(digest))  # a copy that this machine fetched before
    return trees.fetch(dataset_key(found))


def current(trees: Trees, digest: str) -> str:
    """Return the digest of what erasures left of a dataset; its own, where there was none."""
    return editions(trees, digest)[-1]


def editions(trees: Trees, digest: str) -> list[str]:
    """Return the digest, and each that an erasure gave the dataset since: what is left of it now is the last."""
    found = [digest]
    while True:
        try:
            found.append(trees.store.get(_forwarding(found[-1])).data.decode())
        except FileNotFoundError:
            return found


def supersede(trees: Trees, digest: str, later: str) -> None:
    """Record that the dataset `later` has taken the place of another, for those who know the other's digest."""
    objects.replace(trees.store, _forwarding(digest), later.encode())


def superseded(trees: Trees) -> list[str]:
    """Return the digests whose place others have taken."""
    return [key.removeprefix(f"{REWRITTEN}/") for key in trees.store.list(REWRITTEN)]


def swept(trees: Trees) -> None:
    """Remove this machine's copies of the datasets whose place others have taken."""
    if trees.is_cache:
        for digest in superseded(trees):
            trees.forget(dataset_key(digest))


def remember(trees: Trees, version: str, digest: str, parent: str | None = "") -> None:
    """Record the dataset that a version was trained on, and the version that its weights began from ("": the base
    model; None: not known)."""
    objects.replace(trees.store, _record(version), (digest if parent is None else f"{digest}\n{parent}").encode())


def versions(trees: Trees) -> list[str]:
    """Return the versions whose dataset is recorded."""
    return [key.removeprefix(f"{VERSIONS}/") for key in trees.store.list(VERSIONS)]


def noted(trees: Trees, version: str) -> tuple[str, str | None]:
    """Return the version's dataset and its parent, None where its record is of an earlier release. Raises
    FileNotFoundError where there is no record."""
    digest, newline, parent = trees.store.get(_record(version)).data.decode().partition("\n")
    return digest.strip(), parent.strip() if newline else None


def remember_judged(trees: Trees, version: str, digest: str) -> None:
    """Record that a version is judged on another dataset than its own. Given again changes nothing."""
    trees.store.put_if_absent(f"{JUDGED}/{digest}/{version}", b"")


def judged(trees: Trees) -> dict[str, list[str]]:
    """Return the versions that were judged on another dataset than their own, by its digest as it was then."""
    found: dict[str, list[str]] = {}
    for key in trees.store.list(JUDGED):
        digest, _, version = key.removeprefix(f"{JUDGED}/").partition("/")
        found.setdefault(digest, []).append(version)
    return found


def trained_on(trees: Trees, version: str) -> list[Example]:
    """Return the real rows that a version was trained on; none where it was made elsewhere."""
    try:
        digest = noted(trees, version)[0]
    except FileNotFoundError:
        return []
    dataset = _whole(trees, digest)
    return dataset.real_lessons if dataset else []


def taught(trees: Trees, version: str) -> list[Example]:
    """Return each question of a person that the version or an ancestor was trained on, with the newest answer; where a
    record names no parent, the version's own."""
    found: dict[str, Example] = {}
    for digest in _line(trees, version) or []:
        dataset = _whole(trees, digest)
        for row in dataset.real_lessons if dataset else []:
            if row.key not in found or row.time_ms >= found[row.key].time_ms:
                found[row.key] = row
    return list(found.values()) or trained_on(trees, version)


def familiar(trees: Trees, alias: str, version: str, before_ms: int) -> list[Example]:
    """Return each question that the version or an ancestor was trained or judged on, in datasets of harms that began
    before that time. Records of earlier releases name no parent: then every dataset of the alias counts."""
    listed = {each.digest: each for each in _listed(trees) if each.alias == alias and each.since_ms < before_ms}
    line = _line(trees, version)
    times = {listed[digest].since_ms for digest in (listed if line is None else line) if digest in listed}
    met = [digest for digest, each in listed.items() if each.since_ms in times]
    datasets = (_whole(trees, digest) for digest in met)
    return list({row.key: row for dataset in datasets if dataset for row in dataset.rows}.values())


def _line(trees: Trees, version: str) -> list[str] | None:
    """Return the datasets of the version and its ancestors; None where a record names no parent."""
    digests: dict[str, str] = {}
    while version and version not in digests:
        try:
            digest, parent = noted(trees, version)
        except FileNotFoundError:  # made elsewhere
            break
        if parent is None:
            return None
        digests[version] = current(trees, digest)
        version = parent
    return list(digests.values())


def _record(version: str) -> str:
    return f"{VERSIONS}/{version}"


def _forwarding(digest: str) -> str:
    return f"{REWRITTEN}/{digest}"


def _listed(trees: Trees) -> list[Manifest]:
    """Return the manifests that can be read: one that is damaged ends no other alias's retraining."""
    found = (_readable(digest, lambda digest: _manifest(located(trees, digest))) for digest in trees.digests(DATASETS))
    return [each for each in found if each is not None]


def _whole(trees: Trees, digest: str) -> Dataset | None:
    """Return a dataset; None where there is none, or none that can be read."""
    return _readable(digest, lambda digest: load(trees, digest)[1])


def _readable(digest: str, read: Callable[[str], T]) -> T | None:
    """Return what is read of a dataset; None where it is missing or damaged. Where the store is away, StorageError goes
    on: that is no missing dataset."""
    try:
        return read(digest)
    except StorageError:
        raise
    except (OSError, ValueError, KeyError, *UNREADABLE) as error:
        if not isinstance(error, FileNotFoundError):
            log.warning("a dataset cannot be read; it is left out", digest=digest, why=str(error))
        return None


def _manifest(folder: Path) -> Manifest:
    return msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)


def _write(folder: Path, dataset: Dataset, manifest: Manifest) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name in PARTS:
        rows = [_flat(row) for row in getattr(dataset, name)]
        pq.write_table(pa.Table.from_pylist(rows, schema=_schema()), folder / f"{name}.parquet")
    (folder / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))


def _schema() -> object:
    import pyarrow as pa

    texts = ("id", "messages", "completion", "source", "client", "predicted", "tags", "request", *WHO)
    return pa.schema([*((name, pa.string()) for name in texts), ("time_ms", pa.int64())])


def _flat(row: Example) -> dict[str, object]:
    plain = msgspec.structs.asdict(row)
    return plain | {name: msgspec.json.encode(plain[name]).decode() for name in JSON}


def _read(path: Path) -> list[Example]:
    import pyarrow.parquet as pq

    rows = pq.read_table(path).to_pylist()
    return [
        msgspec.convert({**row, **{n: msgspec.json.decode(row[n]) for n in JSON if n in row}}, Example) for row in rows
    ]
