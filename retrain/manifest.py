"""A dataset on disk, under the sha256 of its content: Parquet for the rows, JSON for what they are."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from retrain.dataset import Dataset
from retrain.example import Example

PARTS = ("train", "rehearsal", "validation", "regression")


class Part(msgspec.Struct, frozen=True):
    """One part: its rows' digest, and how many there are of what."""

    sha256: str
    rows: int
    sources: dict[str, int]
    labels: dict[str, int]
    groups: dict[str, int]  # "tag=value"
    clients: int


class Manifest(msgspec.Struct, frozen=True):
    """Where a dataset comes from and what is in it."""

    digest: str
    alias: str
    base_model: str
    since_ms: int  # fresh rows are from here on
    parts: dict[str, Part]
    dropped: dict[str, int]  # filter -> rows that it took away
    synthetic_share: float = 0.0  # none are made yet


def store(root: Path, dataset: Dataset, *, alias: str, base_model: str, since_ms: int) -> Manifest:
    """Writes it to `<root>/<digest>`; the same rows again are the same dataset. There is never half of one."""
    parts = {name: _part(getattr(dataset, name)) for name in PARTS}
    together = "".join(f"{name}:{part.sha256}\n" for name, part in parts.items())
    digest = hashlib.sha256(f"{alias}\0{base_model}\0{together}".encode()).hexdigest()
    manifest = Manifest(digest, alias, base_model, since_ms, parts, dataset.dropped)
    if not (root / digest).is_dir():
        _write(root, dataset, manifest)
    return manifest


def load(root: Path, digest: str) -> tuple[Manifest, Dataset]:
    """What `store` wrote. Raises OSError where it is not there."""
    folder = root / digest
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    parts = {name: _read(folder / f"{name}.parquet") for name in PARTS}
    return manifest, Dataset(**parts, dropped=manifest.dropped)


def remember(root: Path, version: str, digest: str) -> None:
    """Notes which dataset a version was trained on."""
    path = root / "versions" / version
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(digest)
    part.replace(path)


def trained_on(root: Path, version: str) -> list[Example]:
    """The rows that a version was trained on; none where it was made elsewhere."""
    try:
        digest = (root / "versions" / version).read_text().strip()
        dataset = load(root, digest)[1]
        return [*dataset.train, *dataset.rehearsal]
    except OSError:
        return []


def _part(rows: Sequence[Example]) -> Part:
    content = hashlib.sha256(b"".join(msgspec.json.encode(row) + b"\n" for row in rows)).hexdigest()
    return Part(
        sha256=content,
        rows=len(rows),
        sources=dict(Counter(row.source for row in rows)),
        labels=dict(Counter(row.completion for row in rows)),
        groups=dict(Counter(f"{tag}={value}" for row in rows for tag, value in row.tags.items())),
        clients=len({row.client for row in rows}),
    )


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
    try:
        scratch.rename(root / manifest.digest)
    except OSError:  # somebody else was quicker with the same rows
        shutil.rmtree(scratch, ignore_errors=True)
        if not (root / manifest.digest).is_dir():
            raise


def _schema() -> object:
    import pyarrow as pa

    texts = ("id", "messages", "completion", "source", "client", "predicted", "tags")
    return pa.schema([*((name, pa.string()) for name in texts), ("time_ms", pa.int64())])


def _flat(row: Example) -> dict[str, object]:
    plain = {**msgspec.structs.asdict(row)}
    return plain | {name: msgspec.json.encode(plain[name]).decode() for name in ("messages", "tags")}


def _read(path: Path) -> list[Example]:
    import pyarrow.parquet as pq

    rows = pq.read_table(path).to_pylist()
    return [
        msgspec.convert({**row, **{n: msgspec.json.decode(row[n]) for n in ("messages", "tags")}}, Example)
        for row in rows
    ]
