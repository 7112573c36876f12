"""What a synthetic row must be like: a text of the length, language and subject of real ones, and no copy of one.

The bounds are those of the real rows: nothing is set by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from monitor.metrics import normalise
from retrain.data.classes import classes
from retrain.data.duplicates import ALIKE, pieces, similarity
from retrain.data.example import Example
from retrain.synthetic.language import language
from retrain.synthetic.nearness import Nearness
from streams.scoring.schema import UNREADABLE, validator

ROOM = 2.0  # times as long as the longest hundredth of real texts, or as short as the shortest
FAR = 0.5  # of the likeness that all real rows but a twentieth have to another real one
RARE = 0.02  # share of the real rows in a language, for rows without a seed to be in it
EMPTY, COPY, REPEATED = "no text", "nearly a copy of a real row", "nearly a copy of another synthetic row"
UNKNOWN = "its label is that of no real row"
UNFIT = "its answer does not fit the request's JSON schema"


@dataclass(slots=True)
class RowChecks:
    """The real rows' bounds, and the synthetic rows that were taken so far."""

    nearness: Nearness
    lengths: tuple[float, float]
    answer_lengths: tuple[float, float]
    farthest: float
    labels: frozenset[str]  # none where answers are free text
    languages: frozenset[str]
    taken: list[frozenset[str]] = field(default_factory=list)
    schemas: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, real: Sequence[Example]) -> RowChecks:
        """Return the checks by these rows. Raise ValueError where there are none to compare with."""
        if not real:
            raise ValueError("0 real rows, expected some: synthetic rows are compared with them")
        nearness = Nearness.of(real)
        known = classes(Counter(row.label for row in real), {})
        spoken = Counter(language(_asked(row)) for row in real)
        common = frozenset(name for name, count in spoken.items() if name and count >= RARE * len(real))
        far = FAR * float(np.quantile(nearness.own(), 0.05))
        asked, answers = (_bounds([len(each(row)) for row in real]) for each in (_asked, _answer))
        return cls(nearness, asked, answers, far, known, common)

    def objections(self, rows: Sequence[Example], seeds: Sequence[Example | None]) -> list[str]:
        """Return why each row cannot be used; an empty text where it can. `seeds`: the real row that each was made
        from."""
        found = [self._alone(row, seed) for row, seed in zip(rows, seeds, strict=True)]
        left = [place for place, why in enumerate(found) if not why]
        for place, near in zip(left, self.nearness.nearest([rows[place] for place in left]), strict=True):
            if near.copied:
                found[place] = COPY
            elif near.likeness < self.farthest:
                found[place] = "unlike every real row"
        return found

    def repeated(self, row: Example) -> bool:
        """Check that a row is nearly the same as one that was taken before; else remember it as taken."""
        new = pieces(self.nearness.likeness.differing(row))
        if any(similarity(new, known) >= ALIKE for known in self.taken):
            return True
        self.taken.append(new)
        return False

    def _alone(self, row: Example, seed: Example | None) -> str:
        if not normalise(_asked(row)) or not normalise(row.completion):
            return EMPTY
        if self.labels and row.label not in self.labels:
            return UNKNOWN
        for what, text, (least, most) in (
            ("text", _asked(row), self.lengths),
            ("answer", row.completion, self.answer_lengths),
        ):
            if not least <= len(text) <= most:
                return f"{what} longer or shorter than real ones"
        spoken = language(_asked(row))
        wanted = {language(_asked(seed))} - {""} if seed else self.languages
        if spoken and wanted and spoken not in wanted:
            return "in another language"
        return "" if self._fits(row) else UNFIT

    def _fits(self, row: Example) -> bool:
        """Check the answer by the JSON schema that the request asks for, where it asks for one."""
        import msgspec

        format = row.request.get("response_format")
        given = format.get("json_schema") if isinstance(format, dict) else None
        schema = given.get("schema") if isinstance(given, dict) else None
        if schema is None:
            return True
        key = msgspec.json.encode(schema, order="deterministic").decode()
        if key not in self.schemas:
            self.schemas[key] = validator(schema, "response_format of a real row")
        try:
            return bool(self.schemas[key].is_valid(msgspec.json.decode(row.completion)))
        except UNREADABLE:
            return False


def _asked(row: Example) -> str:
    return row.messages[-1].content if row.messages else ""


def _answer(row: Example) -> str:
    return row.completion


def _bounds(lengths: Sequence[int]) -> tuple[float, float]:
    """Return the shortest and the longest that a text may be.

    >>> _bounds([20, 20, 40])
    (10.0, 79.2)
    """
    short, long = np.quantile(lengths, [0.01, 0.99])
    return float(short / ROOM), float(long * ROOM)
