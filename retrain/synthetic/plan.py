"""Which synthetic rows are wanted: so many for each label, and for each value of a tag with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from retrain.data.classes import classes
from retrain.data.example import Example, in_chance_order
from retrain.synthetic.settings import SyntheticSettings

FREE_TEXT = "free text"  # in place of a label, where answers are no classes


class RowCell(NamedTuple):
    """Rows of one label and one value of the tag."""

    label: str
    value: str = ""

    @property
    def name(self) -> str:
        """Return it as an order names it.

        >>> RowCell("refund").name, RowCell("refund", "de").name
        ('refund', 'refund,de')
        """
        return f"{self.label},{self.value}" if self.value else self.label


@dataclass(frozen=True, slots=True)
class SynthesisPlan:
    """The rows wanted of each cell, and the real ones that they are made from."""

    wanted: Mapping[RowCell, int]
    seeds: Mapping[RowCell, Sequence[Example]]
    labels: Mapping[str, str]  # each class, and a short request that has it; none where answers are free text

    def seed(self, cell: RowCell, number: int) -> Example:
        """Return the real row for a cell's call of that number: each in its turn."""
        return self.seeds[cell][number % len(self.seeds[cell])]


def planned(
    settings: SyntheticSettings, real: Sequence[Example], named: Mapping[str, int] | None = None
) -> SynthesisPlan:
    """Return the plan. `named`: rows wanted by a cell's name, instead of the settings' number for each. Raise
    ValueError for a name that no real row has, and where there is no real row."""
    known = classes(Counter(row.label for row in real), {})
    seeds: defaultdict[RowCell, list[Example]] = defaultdict(list)
    for row in in_chance_order(filter(writable, real), "synthetic"):
        label = row.label if row.label in known else "" if known else FREE_TEXT
        value = row.tags.get(settings.group, "") if settings.group else ""
        if label and (value or not settings.group):
            seeds[RowCell(label, value)].append(row)
    cells = {cell.name: cell for cell in sorted(seeds)}
    if strange := sorted(set(named or {}) - set(cells)):
        raise ValueError(f"rows wanted of {strange[0]!r}, expected one of {', '.join(cells) or 'none: no real row'}")
    if not cells:
        of = f"the tag {settings.group!r}" if settings.group else "a class or a text as answer"
        raise ValueError(f"{len(real)} real rows, expected some with one message of a user, no tools, and {of}")
    counts = named or dict.fromkeys(cells, settings.rows)
    shortest = {row.label: _asked(row) for row in sorted(real, key=lambda row: (-len(_asked(row)), row.id))}
    labels = {label: shortest[label] for label in sorted(known)}
    return SynthesisPlan({cells[name]: count for name, count in counts.items()}, dict(seeds), labels)


def writable(row: Example) -> bool:
    """Check that a model can write rows like this one: a user's single message, behind what a system may say, and no
    tools."""
    alone = all(each.role in ("system", "developer") for each in row.messages[:-1])
    return bool(row.messages) and row.messages[-1].role == "user" and alone and not row.tools


def _asked(row: Example) -> str:
    return row.messages[-1].content if row.messages else ""
