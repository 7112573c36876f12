"""An operator's decisions on rows in quarantine, kept by alias and row: they hold for every dataset that follows."""

from __future__ import annotations

from retrain.data.agreement.quarantine import Settled
from retrain.data.manifest import DATASETS
from streams.objects import store as objects
from streams.objects.tree import Trees

SETTLED = f"{DATASETS}/settled"
RELEASED, UPHELD = b"released", b"upheld"


def settle(trees: Trees, alias: str, id: str, *, released: bool) -> None:
    """Record an operator's decision on a row in quarantine: from the next dataset on it is believed, or never is."""
    objects.replace(trees.store, f"{SETTLED}/{alias}/{id}", RELEASED if released else UPHELD)


def settled(trees: Trees, alias: str) -> Settled:
    """Return the rows of an alias on which an operator has decided."""
    prefix = f"{SETTLED}/{alias}"
    found = {key.removeprefix(f"{prefix}/"): trees.store.get(key).data for key in trees.store.list(prefix)}
    released, upheld = (
        frozenset(id for id, decision in found.items() if decision == kind) for kind in (RELEASED, UPHELD)
    )
    return Settled(released, upheld)
