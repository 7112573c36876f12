"""The engines that adapters are loaded into: ours on this machine, or those of [engines], which others run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Protocol

from deploy.stack.settings import StackSettings
from streams.engine_access import NAME, EngineAccess, place


class Engined(Protocol):
    """The part of the configuration that says which engines there are."""

    @property
    def stack(self) -> StackSettings: ...
    @property
    def engines(self) -> Mapping[str, EngineAccess]: ...


def accesses(config: Engined) -> dict[str, EngineAccess]:
    """Return how each engine is reached, by its name in attestations."""
    if config.engines:
        return dict(config.engines)
    return {name: EngineAccess(url=url) for name, url in config.stack.engine_urls().items()}


def by_address(engines: Mapping[str, EngineAccess]) -> dict[str, EngineAccess]:
    """Return engines by the address that attestations name."""
    return {each.address: each for each in engines.values()}


def clashes(engines: Mapping[str, EngineAccess]) -> Iterator[str]:
    """Yield what is wrong with the engines' names and addresses together."""
    for name in engines:
        if not NAME.fullmatch(name):
            yield f"engines.{name}: expected a name of 1 to 63 lower-case letters, digits, '.', '-' and '_'"
    named = defaultdict[object, list[str]](list)
    for name, each in engines.items():
        named[place(each.url)].append(name)
    for names in named.values():
        if len(names) > 1:
            address = engines[names[0]].address
            yield f"engines {', '.join(sorted(names))} have one url, {address}: expected one name for each engine"
