"""Versions that an operator promotes or mirrors to: their files are checked before anything is written."""

from __future__ import annotations

from deploy.config.settings import Config
from deploy.operator.actor import actor
from serving.replica import adapters
from serving.rollout import operations
from serving.rollout.changes import EngineLimits
from streams.events import RouteWritten
from streams.identity import ADAPTERS, adapter_key, version_name

PATIENCE_S = 5.0  # with a bucket


def promote(config: Config, alias: str, version: str, *, keep_previous: bool = True) -> RouteWritten:
    """Promote the version at once. Raise LookupError where it is not in the store, ValueError where no engine may read
    it or has room for it; nothing is written then."""
    digest, rank = found(config, alias, version)
    return operations.promote(
        config.kafka, alias, version, digest, actor(), limits=limits(config), rank=rank, keep_previous=keep_previous
    )


def shadow(config: Config, alias: str, version: str | None) -> RouteWritten:
    """Mirror the alias's requests to the version, None: to no version. Raise as `promote`."""
    if version is None:
        return operations.shadow(config.kafka, alias, None, actor())
    digest, rank = found(config, alias, version)
    return operations.shadow(config.kafka, alias, version, actor(), digest=digest, limits=limits(config), rank=rank)


def limits(config: Config) -> EngineLimits:
    """Return the room for adapters of the stack's engines."""
    return EngineLimits(config.stack.max_loras, config.stack.max_lora_rank)


def found(config: Config, alias: str, version: str) -> tuple[str, int]:
    """Return digest and rank of a version in the store. Raise as `promote`; a LookupError names the versions that are
    there."""
    trees = config.kept.trees(PATIENCE_S)
    home = f"{ADAPTERS}/{alias}"
    known = {version_name(alias, digest): digest for digest in trees.digests(home)}
    if version not in known:
        names = ", ".join(known) or f"none; homeostat train {alias} ROWS makes one"
        raise LookupError(f"{version}: no such adapter in {trees.store.name}/{home}; known: {names}")
    folder = trees.fetch(adapter_key(alias, known[version]))
    adapters.check(folder, trees.home / ADAPTERS)
    return known[version], adapters.rank(folder)
