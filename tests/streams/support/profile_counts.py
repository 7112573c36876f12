"""How many rows whylogs profiles have taken."""

from __future__ import annotations

from whylogs.core import DatasetProfileView

from streams.lake.profile_windows import PROFILES, ProfileWindow
from streams.lake.profiles import load
from streams.objects.store import ObjectStore


def count(view: DatasetProfileView, name: str) -> int:
    """Return how many rows of the column `name` the profile has taken."""
    column = view.get_column(name)
    return int(column.get_metric("counts").n.value) if column else 0


def profiled(store: ObjectStore, alias: str) -> int:
    """Return how many events of the alias's usual version are in the profiles of all windows."""
    version = f"{alias}-0123456789ab"
    place = ProfileWindow(alias, version, 0).place.rpartition("/")[0]
    starts = {int(key.split("/")[-2]) for key in store.list(f"{PROFILES}/{place}")}
    views = [load(store, ProfileWindow(alias, version, start)) for start in starts]
    return sum(count(view, "prompt_chars") for view in views if view)
