"""A dataset on disk, under the sha256 of its content: Parquet for the rows, JSON for what they are."""

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


class Part(msgspec.Struct, frozen=True):
    """One part: its rows' digest, and how many there are of what."""

    sha256: str
    rows: int
    sources: dict[str, int]
    labels: dict[str, int]  # none where answers are free text
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
    if _whole(root, digest) is None:
        _write(root, dataset, manifest)
    return manifest


def load(root: Path, digest: str) -> tuple[Manifest, Dataset]:
    """What `store` wrote. Raises OSError where it is not there."""
    folder = root / digest
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    parts = {name: _read(folder / f"{name}.parquet") for name in PARTS}
    return manifest, Dataset(**parts, dropped=manifest.dropped)


def remember(root: Path, version: str, digest: str, parent: str = "") -> None:
    """Notes which dataset a version was trained on, and which version's weights it began from; "": the base model's."""
    put(root / "versions" / version, f"{digest}\n{parent}".encode())


def trained_on(root: Path, version: str) -> list[Example]:
    """The rows that a version was trained on; none where it was made elsewhere."""
    try:
        digest = _noted(root, version)[0]
    except OSError:
        return []
    dataset = _whole(root, digest)
    return [*dataset.train, *dataset.rehearsal] if dataset else []


def familiar(root: Path, alias: str, version: str, before_ms: int) -> list[Example]:
    """Each question that the version, or one that its weights come from, was trained or judged on, in datasets of
    harms that began before that time; those of an ancestor's harm that were only judged on are among them. Notes of
    earlier releases name no parent: then every dataset of the alias may have been one's."""
    listed = {each.digest: each for each in _listed(root) if each.alias == alias and each.since_ms < before_ms}
    line = _line(root, version)
    times = {listed[digest].since_ms for digest in (listed if line is None else line) if digest in listed}
    met = [digest for digest, each in listed.items() if each.since_ms in times]
    return list({row.key: row for digest in met for row in _rows_of(root, digest)}.values())


def _line(root: Path, version: str) -> list[str] | None:
    """The datasets of the version and its ancestors; None where a note does not say what it began from."""
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
    """The version's dataset and parent; None where the note says nothing of one. Raises OSError where there is none."""
    digest, told, parent = (root / "versions" / version).read_text().partition("\n")
    return digest.strip(), parent.strip() if told else None


def _listed(root: Path) -> list[Manifest]:
    """Those that can be read: one that a crash left half written ends no other alias's retraining."""
    found = []
    for path in sorted(root.glob("*/manifest.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Manifest))
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("a dataset's manifest cannot be read; it is left out", path=str(path), why=str(error))
    return found


def _rows_of(root: Path, digest: str) -> list[Example]:
    """Every row of a dataset, in whichever part; none where it is gone."""
    dataset = _whole(root, digest)
    return [row for name in PARTS for row in getattr(dataset, name)] if dataset else []


def _whole(root: Path, digest: str) -> Dataset | None:
    """What a dataset holds; None where there is none, or where a crash left what cannot be read."""
    try:
        return load(root, digest)[1]
    except (OSError, ValueError, KeyError, msgspec.MsgspecError) as error:
        if not isinstance(error, FileNotFoundError):
            log.warning("a dataset cannot be read; it is left out", digest=digest, why=str(error))
        return None


def _part(rows: Sequence[Example]) -> Part:
    content = hashlib.sha256(b"".join(msgspec.json.encode(row) + b"\n" for row in rows)).hexdigest()
    return Part(
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
