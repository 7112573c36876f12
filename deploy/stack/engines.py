"""The engines that adapters are loaded into: ours on this machine, or those of [engines], which others run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Protocol

from deploy.stack.settings import StackSettings
from streams.engine_access import NAME, EngineAccess


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
    for address, count in Counter(each.address for each in engines.values()).items():
        if count > 1:
            named = sorted(name for name, each in engines.items() if each.address == address)
            yield f"engines {', '.join(named)} have one url, {address}: expected one name for each engine"


def base_model_ids(settings: StackSettings) -> tuple[str, str]:
    """Return the base model's id and the one of earlier releases ("" where the model is not here). Raise
    FileNotFoundError or ValueError where neither the model nor its id is known."""
    from deploy.stack.lifecycle import model_folder
    from retrain.base_model import base_model_id, former_base_model_id

    if settings.model_id:
        return settings.model_id, ""
    try:
        model = model_folder(settings)
    except ImportError as error:
        raise FileNotFoundError(
            f"the demo's base model cannot be unpacked here ({error}): set stack.model to the base model's folder, or "
            "stack.model_id to its id, which `homeostat doctor --role trainer` shows where the model is"
        ) from error
    return base_model_id(model, settings.var / "digests"), former_base_model_id(model)
