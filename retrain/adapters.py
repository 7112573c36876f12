"""The adapter store: content-addressed, immutable, safetensors only."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from streams.identity import ADAPTER_FILES, adapter_digest, adapter_path, version_name


@dataclass(frozen=True, slots=True)
class Adapter:
    """One version: its name, the sha256 it is named after, and where its bytes lie."""

    version: str
    digest: str
    path: Path


def commit(source: Path, root: Path, alias: str, base_model: str) -> Adapter:
    """Copies the adapter in `source` to `<root>/<alias>/<digest>`, read-only. The same bytes again are the same
    adapter. Written beside, fsynced and renamed: there is never half an adapter at its address."""
    digest = adapter_digest(source, base_model)
    path = adapter_path(root, alias, digest)
    adapter = Adapter(version_name(alias, digest), digest, path)
    if path.is_dir():
        return adapter
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=".new-"))
    try:
        for name in ADAPTER_FILES:
            _copy(source / name, scratch / name)
        scratch.chmod(0o755)
        scratch.rename(path)
    except OSError:
        shutil.rmtree(scratch, ignore_errors=True)
        if not path.is_dir():
            raise
    return adapter


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer)
        writer.flush()
        os.fsync(writer.fileno())
    target.chmod(0o444)
