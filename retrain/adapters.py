"""The adapter store: content-addressed, immutable, safetensors only.

Files are written anew before they are named, in the one form that equal weights have: a library writes sets in any
order, and paths of this machine."""

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
SETS = ("target_modules", "exclude_modules", "modules_to_save", "target_parameters")  # their order says nothing
PASSING = ("peft_version", "revision")  # say nothing about the weights
ALIGNED = 8  # bytes: the tensors begin at a multiple of it


@dataclass(frozen=True, slots=True)
class Adapter:
    """One version: its name, the sha256 it is named after, and where its bytes lie."""

    version: str
    digest: str
    path: Path


def commit(source: Path, root: Path, alias: str, base_model: str) -> Adapter:
    """Puts the adapter in `source` at `<root>/<alias>/<digest>`, read-only. Equal weights of equal shape are the same
    adapter, wherever and by whichever process they were made. Written beside, fsynced and renamed: there is never half
    an adapter at its address. Raises FileNotFoundError or ValueError where a file lacks or is not whole."""
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
            _settle(scratch, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Adapter(version_name(alias, digest), digest, path)


def _settle(scratch: Path, path: Path) -> None:
    try:
        scratch.rename(path)
    except OSError:  # another process was quicker with the same bytes
        if not path.is_dir():
            raise


def _config(path: Path, base_model: str) -> bytes:
    """The configuration with its keys and sets in order, and the base model by its id."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ValueError(f"{path}: cannot be read: {error}; expected PEFT's configuration, a JSON object") from error
    told = {key: value for key, value in found.items() if key not in PASSING}
    told |= {key: sorted(told[key]) for key in SETS if isinstance(told.get(key), list)}
    told["base_model_name_or_path"] = base_model
    return msgspec.json.format(msgspec.json.encode(told, order="deterministic"))


def _weights(path: Path) -> Iterator[bytes]:
    """The safetensors file with its tensors by size of an element and name, and without what a library notes there."""
    places = contents(path)
    order = sorted(places, key=lambda name: (-places[name].element, name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name in order:
        size = places[name].end - places[name].first
        header[name] = {"dtype": places[name].dtype, "shape": places[name].shape, "data_offsets": [at, at + size]}
        at += size
    told = msgspec.json.encode(header)
    told = told.ljust(-(-len(told) // ALIGNED) * ALIGNED)
    yield len(told).to_bytes(LENGTH, "little") + told
    with path.open("rb") as file:
        for name in order:
            file.seek(places[name].first)
            yield file.read(places[name].end - places[name].first)


def _write(target: Path, pieces: Iterator[bytes]) -> None:
    with target.open("xb") as writer:
        writer.writelines(pieces)
        writer.flush()
        os.fsync(writer.fileno())
    target.chmod(0o444)
