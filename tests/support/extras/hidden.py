"""Hides from a process what an extra of ours does not bring, so that it finds what a user has who installed that alone.

`HOMEOSTAT_EXTRA=serving PYTHONPATH=tests/support/extras:. python ...` does so for that process and for all that it
starts."""

from __future__ import annotations

import importlib.metadata as metadata
import os
import sys
import tomllib
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]


def brought(extra: str) -> set[str]:
    """Distributions that come with homeostat[extra], by their canonical names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(each) for each in (*project["dependencies"], *project["optional-dependencies"][extra])]
    found: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if wanted.name == project["name"]:  # one extra of ours brings another
            waiting += [Requirement(each) for own in wanted.extras for each in project["optional-dependencies"][own]]
        elif key not in found:
            found.add(key)
            waiting += _needed(wanted.name, wanted.extras)
    return {name for name, _ in found}


def _needed(name: str, extras: Iterable[str]) -> list[Requirement]:
    try:
        told = [Requirement(each) for each in metadata.requires(name) or []]
    except metadata.PackageNotFoundError:
        return []
    return [each for each in told if not each.marker or any(each.marker.evaluate({"extra": e}) for e in ("", *extras))]


class Hidden(MetaPathFinder):
    """Finds nothing of the modules that are hidden, and says whose they are."""

    def __init__(self, names: dict[str, str], extra: str) -> None:
        self._names, self._extra = names, extra

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if (owner := self._names.get(name.partition(".")[0])) is not None:
            raise ModuleNotFoundError(f"{name}: {owner} does not come with homeostat[{self._extra}]", name=name)
        return None


def hide(extra: str = os.environ.get("HOMEOSTAT_EXTRA", "")) -> None:
    """From now on; what is imported already stays. `extra`: one, or several with commas between."""
    there = {"homeostat", *(name for each in extra.split(",") for name in brought(each))}
    hidden = {
        module: owners[0]
        for module, owners in metadata.packages_distributions().items()
        if not there & {canonicalize_name(owner) for owner in owners}
    }
    sys.meta_path.insert(0, Hidden(hidden, extra))
