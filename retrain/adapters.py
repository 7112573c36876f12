"""The adapter store: content-addressed, immutable, safetensors only.

The store rewrites each file before it is named, in the one form that equal weights have: a library writes sets in any
order, and paths of the machine that it runs on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from monitor.canonical import UNREADABLE
from retrain.tensor_file import LENGTH, contents
from streams.identity import ADAPTER_FILES, ADAPTERS, PROOF_FILE, adapter_digest, adapter_key, version_name
from streams.objects.tree import Trees

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


def commit(source: Path, trees: Trees, alias: str, base_model: str) -> Adapter:
    """Put the adapter in `source` under its alias and digest, read-only, with its proof where it has one. Equal weights
    of equal shape and proof are the same adapter, wherever they were made; half an adapter is never there. Raises
    FileNotFoundError or ValueError where a file lacks or is not whole, StorageError where the store is away."""
    adapter_digest(source, base_model)  # both files are there
    with trees.scratch(f"{ADAPTERS}/{alias}") as scratch:
        _write(scratch / CONFIG, iter((_config(source / CONFIG, base_model),)))
        _write(scratch / WEIGHTS, _weights(source / WEIGHTS))
        if (source / PROOF_FILE).is_file():
            _write(scratch / PROOF_FILE, iter(((source / PROOF_FILE).read_bytes(),)))
        digest = adapter_digest(scratch, base_model)
        path = trees.put(adapter_key(alias, digest), scratch)
    return Adapter(version_name(alias, digest), digest, path)


def _config(path: Path, base_model: str) -> bytes:
    """Return the configuration with its keys and sets in order, and the base model by its id."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except UNREADABLE as error:
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
    target.chmod(0o444)
