"""Adapters, checked before an engine reads them: two files and a proof, the right bytes, LoRA tensors and nothing
else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving.routes.slots import WantedVersion, too_high
from streams.files import Stamp, stamp
from streams.identity import ADAPTER_FILES, ADAPTERS, PROOF_FILE, adapter_digest, adapter_key
from streams.objects.tree import Trees
from streams.proof import Proof, read

CONFIG, WEIGHTS = ADAPTER_FILES
KNOWN = (*ADAPTER_FILES, PROOF_FILE)
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
TENSOR = re.compile(r"[\w.]+\.lora_(A|B)\.weight|[\w.]+\.lora_embedding_(A|B)")
DOWN = re.compile(r"^(?!.*\.experts\b).*\.lora_(embedding_)?A\b")  # experts' lie in one, stacked
HEADER_LIMIT = 100_000_000  # bytes; what the safetensors library takes

Stamps = tuple[Stamp | None, ...]  # of an adapter's files


class Unfit(ValueError):
    """An engine must not read this adapter; the message names the file and what was expected."""


@dataclass(slots=True)
class Adapters:
    """The adapters of a store. `base_model` is the id that digests are made with, `former_base_model` the one of
    earlier releases. A verdict on the bytes holds until a file changes."""

    trees: Trees
    base_model: str
    max_rank: int
    former_base_model: str = ""
    _known: dict[str, tuple[Stamps, str]] = field(default_factory=dict)  # digest -> its files' stamps, what is wrong

    def at_hand(self, each: WantedVersion) -> bool:
        """Return whether no bucket need be asked for the version."""
        return self.trees.at_hand(adapter_key(each.alias, each.digest))

    def fetch(self, each: WantedVersion) -> None:
        """Fetch the version's files from a bucket. Raise as `Trees.fetch`, and Unfit where they are of another digest;
        they are in no cache then."""
        self.trees.fetch(adapter_key(each.alias, each.digest), lambda folder: self._require(folder, each.digest))

    def verified(self, each: WantedVersion) -> Path:
        """Return the folder with the version's very bytes. Raise Unfit, or OSError where it cannot be read."""
        if not each.version.endswith(f"-{each.digest[:12]}"):
            raise Unfit(f"route names {each.version} with digest {each.digest}: they do not belong together")
        key = adapter_key(each.alias, each.digest)
        path = self.trees.home / key
        _inside(path, self.trees.home / ADAPTERS)
        found: Stamps = tuple(stamp(path / name) for name in KNOWN)
        known, problem = self._known.get(each.digest, (None, ""))
        if known != found:
            problem = self._problem(key, each.digest)
            self._known[each.digest] = found, problem
        if problem:
            raise Unfit(problem)
        self.trees.used(key)
        return path

    def loadable(self, each: WantedVersion) -> Path:
        """Return the folder as `verified` does, and look at it now: a further file changes neither of the two."""
        check(self.trees.home / adapter_key(each.alias, each.digest), self.trees.home / ADAPTERS)
        return self.verified(each)

    def proof(self, each: WantedVersion) -> Proof | None:
        """Return the version's proof of effect; None where it was made without one. Raise as `verified`, and
        BrokenProof where it proves nothing."""
        return read(self.verified(each))

    def _problem(self, key: str, digest: str) -> str:
        path = self.trees.home / key
        try:
            self._require(path, digest)
        except (Unfit, FileNotFoundError) as error:
            if self.trees.is_cache:  # altered here: it is fetched again
                self.trees.forget(key)
            return str(error)
        try:
            lacking = too_high(rank(path), self.max_rank)
        except Unfit as error:
            return str(error)
        return f"{path}: {lacking}" if lacking else ""

    def _require(self, path: Path, digest: str) -> None:
        """Raise Unfit unless the files have the digest."""
        found = adapter_digest(path, self.base_model)
        former = self.former_base_model and adapter_digest(path, self.former_base_model)
        if digest not in (found, former):
            raise Unfit(f"{path}: digest is {found}, expected {digest}: altered, or of another base")


def check(folder: Path, root: Path) -> None:
    """Raise Unfit unless the folder lies under the root and holds an adapter's files and nothing else."""
    _inside(folder, root)
    for strange in sorted(each.name for each in folder.iterdir() if not _expected(each.name)):
        kind = "a pickle runs code when it is read" if strange.endswith(PICKLES) else "its bytes are in no digest"
        raise Unfit(f"{folder / strange}: {kind}; expected {', '.join(KNOWN)} and nothing else")
    if not list(_tensors(folder / WEIGHTS)):
        raise Unfit(f"{folder / WEIGHTS}: has no tensors")


def _inside(folder: Path, root: Path) -> None:
    home = root.resolve()
    for name in ("", *KNOWN):
        real = (folder / name).resolve()
        if not real.is_relative_to(home):
            raise Unfit(f"{folder / name}: leads to {real}, outside of {home}")


def rank(folder: Path) -> int:
    """Return the highest rank in the adapter's configuration and tensors. Raise Unfit where they are malformed."""
    path = folder / CONFIG
    config = _config(path)
    ranks = [_whole(path, value) for value in (config.get("r"), *_rank_pattern(path, config).values())]
    rows = [shape[0] for name, shape in _tensors(folder / WEIGHTS) if DOWN.search(name)]
    return max([*ranks, *rows])


def _config(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unfit(f"{path}: is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise Unfit(f"{path}: is {type(found).__name__}, expected an object")
    return found


def _whole(path: Path, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Unfit(f"{path}: r is {value!r}, expected a whole number from 1 on")
    return value


def _rank_pattern(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    found = config.get("rank_pattern") or {}
    if not isinstance(found, dict):
        raise Unfit(f"{path}: rank_pattern is {found!r}, expected an object")
    return found


def _tensors(path: Path) -> Iterator[tuple[str, list[int]]]:
    """Return names and shapes, from the header alone: an eight-byte length, then JSON. Raise Unfit where it is
    malformed."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(HEADER_LIMIT, size - 8):
            raise Unfit(f"{path}: is no safetensors file: a header of {length} bytes in {size}")
        header = _header(path, file.read(length))
    for name, entry in header.items():
        if not TENSOR.fullmatch(name):
            raise Unfit(f"{path}: tensor {name!r}, expected a LoRA's: ....lora_A.weight, ....lora_B.weight")
        yield name, _shape(path, name, entry, size - 8 - length)


def _header(path: Path, data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unfit(f"{path}: is no safetensors file: {error}") from error
    if not isinstance(header, dict):
        raise Unfit(f"{path}: is no safetensors file: its header is {type(header).__name__}, expected an object")
    header.pop("__metadata__", None)
    return header


def _shape(path: Path, name: str, entry: Any, room: int) -> list[int]:
    try:
        (begin, end), shape = entry["data_offsets"], entry["shape"]
        if 0 <= begin <= end <= room and len(shape) in (2, 3) and min(shape) >= 1:
            return [int(side) for side in shape]
    except (TypeError, KeyError, ValueError):
        pass
    raise Unfit(
        f"{path}: tensor {name}: {entry!r}, expected two or three dimensions, and data within the file's {room} bytes"
    )


def _expected(name: str) -> bool:
    return name in KNOWN or name.startswith(".")  # the file system's own; no engine reads them
