"""The adapter store: content-addressed, immutable, safetensors only.

The store rewrites each file before it is named, in the one form that equal weights have: a library writes sets in any
order, and paths of the machine that it runs on."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from retrain.tensor_file import LENGTH, contents
from streams.identity import ADAPTER_FILES, adapter_digest, adapter_path, version_name

CONFIG, WEIGHTS = ADAPTER_FILES
SETS = ("target_modules", "exclude_modules", "modules_to_save", "target_parameters")  # their order has no meaning
PASSING = ("peft_version", "revision")  # mean nothing for the weights
ALIGNED = 8  # bytes: the tensors begin at a multiple of it


@dataclass(frozen=True, slots=True)
class Adapter:
    """One version: its name, the sha256 that it is named after, and its folder."""

    version: str
    digest: str
    path: Path


def commit(source: Path, root: Path, alias: str, base_model: str) -> Adapter:
    """Put the adapter in `source` at `<root>/<alias>/<digest>`, read-only. Equal weights of equal shape are the same
    adapter, wherever they were made. The files are written to a folder of their own, synced and renamed, so that half
    an adapter is never at its address. Raises FileNotFoundError or ValueError where a file lacks or is not whole."""
    adapter_digest(source, base_model)  # both files are there
    home = root / alias
    home.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=home, prefix=".new-"))
    try:
        _write(scratch / CONFIG, iter((_config(source / CONFIG, base_model),)))
        _write(scratch / WEIGHTS, _weights(source / WEIGHTS))
        digest = adapter_digest(scratch, base_model)
        path = adapter_path(root, alias, digest)
        if not path.is_dir():
            scratch.chmod(0o755)
            _move(scratch, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Adapter(version_name(alias, digest), digest, path)


def _move(scratch: Path, path: Path) -> None:
    try:
        scratch.rename(path)
    except OSError:  # another process was quicker with the same bytes
        if not path.is_dir():
            raise


def _config(path: Path, base_model: str) -> bytes:
    """Return the configuration with its keys and sets in order, and the base model by its id."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path}: cannot be read: {error}; expected PEFT's configuration, a JSON object") from error
    kept = {key: value for key, value in found.items() if key not in PASSING}
    kept |= {key: sorted(kept[key]) for key in SETS if isinstance(kept.get(key), list)}
    kept["base_model_name_or_path"] = base_model
    return msgspec.json.format(msgspec.json.encode(kept, order="deterministic"))


def _weights(path: Path) -> Iterator[bytes]:
    """Yield the safetensors file with its tensors ordered by element size and name, without a library's metadata."""
    extents = contents(path)
    order = sorted(extents, key=lambda name: (-extents[name].element, name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name in order:
        size = extents[name].end - extents[name].first
        header[name] = {"dtype": extents[name].dtype, "shape": extents[name].shape, "data_offsets": [at, at + size]}
        at += size
    encoded = msgspec.json.encode(header)
    encoded = encoded.ljust(-(-len(encoded) // ALIGNED) * ALIGNED)
    yield len(encoded).to_bytes(LENGTH, "little") + encoded
    with path.open("rb") as file:
        for name in order:
            file.seek(extents[name].first)
            yield file.read(extents[name].end - extents[name].first)


def _write(target: Path, pieces: Iterator[bytes]) -> None:
    with target.open("xb") as writer:
        writer.writelines(pieces)
        writer.flush()
        os.fsync(writer.fileno())
    target.chmod(0o444)
