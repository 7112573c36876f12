"""The tickets of the demo's world, before and after it changes.

Deterministic in its seed; no two messages are the same or nearly so: of the triples of words in both, at most the share
`TWINS` is common to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, get_args

from deploy.demo.world.grammar import Dress, everyday, polite
from deploy.demo.world.intents import LEAVING, STAYING, Intent
from deploy.demo.world.kinds import WorldKind, line, of_kind
from deploy.demo.world.novelties import ARRIVING, STILL
from deploy.operator.rows import LabelledRow

Shift = Literal["new intents", "none", "polite"]
SHIFTS: tuple[Shift, ...] = get_args(Shift)


@dataclass(frozen=True, slots=True)
class WorldSize:
    """How much of the world there is: intents that stay, as many that leave and that arrive, and messages."""

    intents: int
    before: int
    after: int


SIZES = {"full": WorldSize(7, 1_300, 1_000), "small": WorldSize(3, 840, 500)}
ARRIVING_SHARE = 0.6  # of the messages after the shift
TWINS = 0.5  # two messages of an intent never share more of their triples of words than this
FILES = ("before", "after")
TRIES = 400  # draws for one message before the grammar counts as used up

Triples = frozenset[tuple[str, ...]]


def world(
    seed: int = 0, shift: Shift = "new intents", size: str = "full"
) -> tuple[list[LabelledRow], list[LabelledRow]]:
    """Return the rows before and after the shift. `none` and `polite` are harmless: a healthy model answers them as
    well. Raise ValueError for an unknown shift or size."""
    if shift not in SHIFTS:
        raise ValueError(f"shift is {shift!r}, expected one of {', '.join(map(repr, SHIFTS))}")
    if size not in SIZES:
        raise ValueError(f"size is {size!r}, expected one of {', '.join(map(repr, SIZES))}")
    shown = SIZES[size]
    rng, taken = Random(f"before {seed}"), _Messages()
    before = _rows(rng, taken, _even(_first(shown), shown.before), everyday)
    rng = Random(f"{shift} {seed}")
    dress = polite if shift == "polite" else everyday
    after = _rows(rng, taken if dress is everyday else _Messages(), _shares(shift, shown), dress)
    return before, after


def write(directory: Path, seed: int = 0, shift: Shift = "new intents", kind: WorldKind = "bare") -> None:
    """Write the world as `before.jsonl` and `after.jsonl` into `directory`, made where it is missing. Raise ValueError
    for an unknown shift or kind."""
    parts = [as_kind(kind, seed, rows, name) for name, rows in zip(FILES, world(seed, shift), strict=True)]
    directory.mkdir(parents=True, exist_ok=True)
    for name, rows in zip(FILES, parts, strict=True):
        (directory / f"{name}.jsonl").write_text("".join(map(line, rows)), encoding="utf-8")


def as_kind(kind: WorldKind, seed: int, rows: Iterable[LabelledRow], name: str) -> list[LabelledRow]:
    """Return the bare rows before or after (`name`) the shift as rows of this kind. Raise ValueError for an unknown
    kind."""
    rng = Random(f"{kind} {name} {seed}")
    return [of_kind(kind, rng, row) for row in rows]


def _first(size: WorldSize) -> tuple[Intent, ...]:
    return STAYING[: size.intents] + LEAVING[: size.intents]


def _shares(shift: Shift, size: WorldSize) -> list[tuple[Intent, int]]:
    """Return how many messages of which intent come after the shift."""
    if shift != "new intents":
        return _even(_first(size), size.after)
    new = round(size.after * ARRIVING_SHARE)
    return _even(ARRIVING[: size.intents], new) + _even(STILL[: size.intents], size.after - new)


def _even(intents: Sequence[Intent], count: int) -> list[tuple[Intent, int]]:
    return [(one, count // len(intents) + (i < count % len(intents))) for i, one in enumerate(intents)]


def _rows(rng: Random, taken: _Messages, shares: Iterable[tuple[Intent, int]], dress: Dress) -> list[LabelledRow]:
    rows = [LabelledRow(_fresh(rng, taken, one, dress), one.label) for one, count in shares for _ in range(count)]
    rng.shuffle(rows)
    return rows


def _fresh(rng: Random, taken: _Messages, intent: Intent, dress: Dress) -> str:
    for _ in range(TRIES):
        text = dress(rng, intent)
        if taken.take(intent.label, text, polite=dress is polite):
            return text
    raise RuntimeError(f"intent {intent.label!r}: no new wording in {TRIES} draws; it needs more lines")


class _Messages:
    """The messages so far, by intent."""

    def __init__(self) -> None:
        self._texts: set[str] = set()
        self._triples: dict[str, list[Triples]] = {}

    def take(self, label: str, text: str, *, polite: bool) -> bool:
        """Check that the message is new, and remember it then. Courtesies repeat, so polite ones need only differ."""
        key, mine = text.casefold(), _triples(text)
        others = self._triples.setdefault(label, [])
        if key in self._texts or (not polite and any(_shared(mine, other) > TWINS for other in others)):
            return False
        self._texts.add(key)
        others.append(mine)
        return True


def _triples(text: str) -> Triples:
    words = ["", *text.casefold().split(), ""]
    return frozenset(zip(words, words[1:], words[2:], strict=False))


def _shared(one: Triples, other: Triples) -> float:
    return len(one & other) / (len(one | other) or 1)
