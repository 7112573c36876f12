"""Datasets on disk, each under the sha256 of its content: Parquet for the rows, JSON for the manifest."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from retrain.data.classes import classes
from retrain.data.dataset import Dataset
from retrain.data.example import Example
from streams.files import put

log = structlog.get_logger()

PARTS = ("train", "rehearsal", "validation", "regression")


class DatasetPart(msgspec.Struct, frozen=True):
    """One part's digest and its rows, counted by source, label, group and client."""

    sha256: str
    rows: int
    sources: dict[str, int]
    labels: dict[str, int]  # none where answers are free text
    groups: dict[str, int]  # "tag=value"
    clients: int


class Manifest(msgspec.Struct, frozen=True):
    """A dataset's origin and contents."""

    digest: str
    alias: str
    base_model: str
    since_ms: int  # fresh rows are from here on
    parts: dict[str, DatasetPart]
    dropped: dict[str, int]  # filter -> rows that it removed


def store(root: Path, dataset: Dataset, *, alias: str, base_model: str, since_ms: int) -> Manifest:
    """Write the dataset to `<root>/<digest>`, whole or not at all; the same rows give the same dataset."""
    parts = {name: _part(getattr(dataset, name)) for name in PARTS}
    together = "".join(f"{name}:{part.sha256}\n" for name, part in parts.items())
    digest = hashlib.sha256(f"{alias}\0{base_model}\0{together}".encode()).hexdigest()
    manifest = Manifest(digest, alias, base_model, since_ms, parts, dataset.dropped)
    if _whole(root, digest) is None:
        _write(root, dataset, manifest)
    return manifest


def load(root: Path, digest: str) -> tuple[Manifest, Dataset]:
    """Return the dataset that `store` wrote. Raises OSError where there is none."""
    folder = root / digest
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    parts = {name: _read(folder / f"{name}.parquet") for name in PARTS}
    return manifest, Dataset(**parts, dropped=manifest.dropped)


def remember(root: Path, version: str, digest: str, parent: str = "") -> None:
    """Record the dataset that a version was trained on, and the version that its weights began from ("": the base
    model)."""
    put(root / "versions" / version, f"{digest}\n{parent}".encode())


def trained_on(root: Path, version: str) -> list[Example]:
    """Return the rows that a version was trained on; none where it was made elsewhere."""
    try:
        digest = _noted(root, version)[0]
    except OSError:
        return []
    dataset = _whole(root, digest)
    return [*dataset.train, *dataset.rehearsal] if dataset else []


def familiar(root: Path, alias: str, version: str, before_ms: int) -> list[Example]:
    """Return each question that the version or an ancestor was trained or judged on, in datasets of harms that began
    before that time. Records of earlier releases name no parent: then every dataset of the alias counts."""
    listed = {each.digest: each for each in _listed(root) if each.alias == alias and each.since_ms < before_ms}
    line = _line(root, version)
    times = {listed[digest].since_ms for digest in (listed if line is None else line) if digest in listed}
    met = [digest for digest, each in listed.items() if each.since_ms in times]
    datasets = (_whole(root, digest) for digest in met)
    return list({row.key: row for dataset in datasets if dataset for row in dataset.rows}.values())


def _line(root: Path, version: str) -> list[str] | None:
    """Return the datasets of the version and its ancestors; None where a record names no parent."""
    digests: dict[str, str] = {}
    while version and version not in digests:
        try:
            digest, parent = _noted(root, version)
        except OSError:  # made elsewhere
            break
        if parent is None:
            return None
        digests[version] = digest
        version = parent
    return list(digests.values())


def _noted(root: Path, version: str) -> tuple[str, str | None]:
    """Return the version's dataset and its parent, None where its record is of an earlier release. Raises OSError where
    there is no record."""
    digest, newline, parent = (root / "versions" / version).read_text().partition("\n")
    return digest.strip(), parent.strip() if newline else None


def _listed(root: Path) -> list[Manifest]:
    """Return the manifests that can be read: one that a crash left half written ends no other alias's retraining."""
    found = []
    for path in sorted(root.glob("*/manifest.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Manifest))
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("a dataset's manifest cannot be read; it is left out", path=str(path), why=str(error))
    return found


def _whole(root: Path, digest: str) -> Dataset | None:
    """Return a dataset; None where there is none, or none that can be read (a crash may leave half of one)."""
    try:
        return load(root, digest)[1]
    except (OSError, ValueError, KeyError, msgspec.MsgspecError) as error:
        if not isinstance(error, FileNotFoundError):
            log.warning("a dataset cannot be read; it is left out", digest=digest, why=str(error))
        return None


def _part(rows: Sequence[Example]) -> DatasetPart:
    content = hashlib.sha256(b"".join(msgspec.json.encode(row) + b"\n" for row in rows)).hexdigest()
    return DatasetPart(
        sha256=content,
        rows=len(rows),
        sources=dict(Counter(row.source for row in rows)),
        labels=_labels(rows),
        groups=dict(Counter(f"{tag}={value}" for row in rows for tag, value in row.tags.items())),
        clients=len({row.client for row in rows}),
    )


def _labels(rows: Sequence[Example]) -> dict[str, int]:
    counts = Counter(row.completion for row in rows)
    return dict(counts) if classes(counts, {}) else {}


def _write(root: Path, dataset: Dataset, manifest: Manifest) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    root.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=root, prefix=".new-"))
    for name in PARTS:
        rows = [_flat(row) for row in getattr(dataset, name)]
        pq.write_table(pa.Table.from_pylist(rows, schema=_schema()), scratch / f"{name}.parquet")
    (scratch / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    scratch.chmod(0o755)
    if _whole(root, manifest.digest) is None:
        shutil.rmtree(root / manifest.digest, ignore_errors=True)  # what a crash left
    try:
        scratch.rename(root / manifest.digest)
    except OSError:  # another process was quicker with the same rows
        shutil.rmtree(scratch, ignore_errors=True)
        if not (root / manifest.digest).is_dir():
            raise


def _schema() -> object:
    import pyarrow as pa

    texts = ("id", "messages", "completion", "source", "client", "predicted", "tags")
    return pa.schema([*((name, pa.string()) for name in texts), ("time_ms", pa.int64())])


def _flat(row: Example) -> dict[str, object]:
    plain = msgspec.structs.asdict(row)
    return plain | {name: msgspec.json.encode(plain[name]).decode() for name in ("messages", "tags")}


def _read(path: Path) -> list[Example]:
    import pyarrow.parquet as pq

    rows = pq.read_table(path).to_pylist()
    return [
        msgspec.convert({**row, **{n: msgspec.json.decode(row[n]) for n in ("messages", "tags")}}, Example)
        for row in rows
    ]
