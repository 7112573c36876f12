"""The policies that are compared: the present settings, and what each file changes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deploy.config.parse import ConfigError, Table, build, read_toml
from monitor.flat_table import flat
from monitor.settings import MonitorSettings, PolicySettings

PRESENT = "present settings"
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class PolicySections:
    """The sections that a policy file may hold, as in `homeostat.toml`."""

    monitor: MonitorSettings = field(default_factory=MonitorSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy with a name; `changes`: where it differs from the present settings, for people."""

    name: str
    sections: PolicySections
    changes: list[str] = field(default_factory=list)


def policies(present: PolicySections, paths: Sequence[Path]) -> list[Policy]:
    """Return the present settings, then a policy for each file. Raise ConfigError with all problems of all files."""
    found, problems = [Policy(PRESENT, present)], []
    for path, name in zip(paths, _names(paths), strict=True):
        try:
            sections = build(PolicySections, _over(asdict(present), read_toml(path, advice="")), str(path))
            found.append(Policy(name, sections, changes(present, sections)))
        except ConfigError as error:
            problems += [f"{path}: {problem}" for problem in error.problems]
    if problems:
        raise ConfigError("policies", problems)
    return found


def changes(present: PolicySections, other: PolicySections) -> list[str]:
    """List the settings in which another policy differs.

    >>> changes(PolicySections(), PolicySections(policy=PolicySettings(min_fresh_labels=50)))
    ['policy.min_fresh_labels: 200 -> 50']
    """
    before, after = flat(asdict(present)), flat(asdict(other))
    keys = [key for key in dict.fromkeys([*before, *after]) if before.get(key, NOTHING) != after.get(key, NOTHING)]
    return [f"{key}: {before.get(key, NOTHING)} -> {after.get(key, NOTHING)}" for key in keys]


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the files' stems; their paths where two have the same one or that of the present settings."""
    stems = [path.stem for path in paths]
    return [path.stem if stems.count(path.stem) == 1 and path.stem != PRESENT else str(path) for path in paths]


def _over(below: Table, above: Table) -> Table:
    """Merge tables key by key; the upper one wins."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _over(merged[key], value) if both else value
    return merged
