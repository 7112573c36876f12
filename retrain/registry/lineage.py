"""From a version back to where it comes from: its retraining, run, dataset, rows, software, and its ancestors."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from retrain.data import manifest
from retrain.registry.origins import VersionOrigin, recalled
from streams.events import Json
from streams.objects.tree import Trees

MOST = 1_000  # ancestors: a circle of damaged records ends there


class LineageNode(msgspec.Struct, frozen=True, kw_only=True):
    """One thing, and what it comes from."""

    kind: str  # reply, version, retraining, run, dataset, rows, software
    name: str
    about: dict[str, Json] = {}
    origins: list[LineageNode] = []


def lineage(trees: Trees, version: str, *, with_ids: bool = False) -> LineageNode:
    """Return the version with all that it comes from. `with_ids`: the ids of the replies that were its rows, too."""
    line = list(_line(trees, version))
    node: LineageNode | None = None
    for origin in reversed(line):
        node = _version(trees, origin, [node] if node else [], with_ids)
    if node is None:
        return LineageNode(kind="version", name=version, about={"note": "the store has no record of how it was made"})
    return node


def _line(trees: Trees, version: str) -> Iterator[VersionOrigin]:
    """Yield the version's origin and those of its ancestors, the nearest first."""
    seen = set[str]()
    while version and version not in seen and len(seen) < MOST:
        seen.add(version)
        origin = recalled(trees, version)
        if origin is None:
            if len(seen) > 1:
                yield VersionOrigin(version=version)
            return
        yield origin
        version = origin.parent or ""


def _version(trees: Trees, origin: VersionOrigin, parents: list[LineageNode], with_ids: bool) -> LineageNode:
    about: dict[str, Json] = {"digest": origin.digest, "base_model": origin.base_model}
    if origin.adopted:
        about["note"] = f"made elsewhere: {origin.reason}"
    elif origin.parent == "":
        about["began_from"] = "the base model"
    elif origin.parent is None:
        about["note"] = "recorded by an earlier release: what its weights began from is not known"
    came = []
    if origin.request:
        cause = {"reason": origin.reason, "alarm": origin.alarm}
        came.append(LineageNode(kind="retraining", name=origin.request, about=cause))
    if origin.run:
        came.append(LineageNode(kind="run", name=origin.run))
    if origin.dataset:
        came.append(_dataset(trees, origin.dataset, with_ids))
    if origin.software:
        commit = origin.software.get("git_commit", "commit not known")
        packages = {name: each for name, each in origin.software.items() if name != "git_commit"}
        came.append(LineageNode(kind="software", name=commit, about=packages))
    known = {name: value for name, value in about.items() if value}
    return LineageNode(kind="version", name=origin.version, about=known, origins=[*came, *parents])


def _dataset(trees: Trees, digest: str, with_ids: bool) -> LineageNode:
    """Return the dataset, or what an erasure left of it."""
    try:
        listed, dataset = manifest.load(trees, digest)
    except FileNotFoundError:
        return LineageNode(kind="dataset", name=digest, about={"note": "no longer in the store"})
    about: dict[str, Json] = {"base_model": listed.base_model, "since_ms": listed.since_ms}
    if listed.digest != digest:
        about["note"] = f"an erasure took rows out of it; what is left is {listed.digest}"
    parts = []
    for name, part in listed.parts.items():
        if part.rows:
            ids = {"ids": [row.id for row in getattr(dataset, name)]} if with_ids else {}
            parts.append(LineageNode(kind="rows", name=name, about={"rows": part.rows, **ids}))
    return LineageNode(kind="dataset", name=digest, about=about, origins=parts)
