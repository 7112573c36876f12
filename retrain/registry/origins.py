"""How a version was made: a small record in the store, so that it is known without the log and without MLflow.

It names datasets, requests and runs and holds no row."""

from __future__ import annotations

import msgspec

from retrain.adapters import Adapter
from retrain.data import manifest
from retrain.training.software import software
from streams.events import RetrainRequested
from streams.objects import store as objects
from streams.objects.tree import Trees

ORIGINS = "origins"  # the prefix of their keys


class VersionOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """A version's origin. What is empty is not known, or there was none."""

    version: str
    digest: str = ""  # full sha256 of the adapter
    dataset: str = ""  # digest of the rows that it was trained on
    parent: str | None = None  # version that its weights began from; "": the base model; None: not known
    base_model: str = ""  # id of the base model by its content
    request: str = ""  # the retraining; none: a first adapter
    reason: str = ""  # of the retraining, one sentence
    alarm: str = ""  # that led to it
    run: str = ""  # id of the run in MLflow
    software: dict[str, str] = {}  # commit and packages that made it (`retrain.training.software`)
    adopted: bool = False  # made elsewhere: its weights' origin is not known here


def made_by(
    request: RetrainRequested, adapter: Adapter, base_model: str, *, dataset: str, parent: str, run: str
) -> VersionOrigin:
    """Return the origin of an adapter that a retraining has made now, by this software."""
    return VersionOrigin(
        version=adapter.version,
        digest=adapter.digest,
        dataset=dataset,
        parent=parent,
        base_model=base_model,
        request=request.id,
        reason=request.reason,
        alarm=request.alarm_id,
        run=run,
        software=software(),
    )


def first_of(adapter: Adapter, base_model: str, *, dataset: str, run: str) -> VersionOrigin:
    """Return the origin of an alias's first adapter, made now by this software."""
    return VersionOrigin(
        version=adapter.version,
        digest=adapter.digest,
        dataset=dataset,
        parent="",
        base_model=base_model,
        reason="the alias's first adapter",
        run=run,
        software=software(),
    )


def remember(trees: Trees, origin: VersionOrigin) -> None:
    """Record the origin, in the place of an earlier record: equal bytes that were made twice have the later one."""
    objects.replace(trees.store, _key(origin.version), msgspec.json.format(msgspec.json.encode(origin)))


def recalled(trees: Trees, version: str) -> VersionOrigin | None:
    """Return the version's origin; of versions of earlier releases what their dataset's record says; None: unknown."""
    try:
        return msgspec.json.decode(trees.store.get(_key(version)).data, type=VersionOrigin)
    except FileNotFoundError:
        pass
    try:
        dataset, parent = manifest.noted(trees, version)
    except FileNotFoundError:
        return None
    return VersionOrigin(version=version, dataset=dataset, parent=parent)


def _key(version: str) -> str:
    return f"{ORIGINS}/{version}"
