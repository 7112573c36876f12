"""The model cards that retrainings have kept."""

from __future__ import annotations

from deploy.config.settings import Config
from retrain.card.pages import CARDS, JSON, PAGE, README, kept
from streams.objects.store import ObjectStore

__all__ = ["JSON", "PAGE", "README", "found", "store"]

PATIENCE_S = 5.0  # with a bucket
NAMED = 5  # versions that an error names


def store(config: Config) -> ObjectStore:
    """Return the store of the stack's objects."""
    return config.kept.trees(PATIENCE_S).store


def found(store: ObjectStore, version: str, name: str) -> bytes:
    """Return a file of the version's card. Raise LookupError where it has none, naming some that have."""
    try:
        return kept(store, version, name)
    except (FileNotFoundError, ValueError) as error:
        known = sorted({key.split("/")[1] for key in store.list(CARDS)})
        shown = ", ".join(known[-NAMED:]) or "none yet"
        raise LookupError(
            f"version {version!r} has no model card; a retraining writes one for its candidate. There are: {shown}"
        ) from error
