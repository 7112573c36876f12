"""What the prompts of a reference share, and what is left of a prompt without it.

A template, a system prompt, examples, a document that was retrieved for many: none of it says what is asked. So a
passage (`monitor.describe.passages`) that `k` other events of the reference hold too has the weight 1 / (1 + k)^2: the
template of all counts nothing, the document of five others a fiftieth, and what stands in one prompt only counts whole.
So does, of a prompt that is shared from end to end, the passage that the fewest have: it is what was asked, by a button
perhaps. There is no border in this, for what lies near a border would make events of the reference differ from later
ones. And an event of the reference is not one of its own others; but of a passage that comes all the time it is, or the
few questions of a form would differ a little from the same ones later. What is left gives the prompt's descriptors and
its fingerprint; where prompts share nothing, they stay what they were, to the last bit.

>>> from monitor.describe.descriptors import NAMES, Describer, ReplyText
>>> asked = [f"where is my card number {k * 7919} please?" for k in range(60)]
>>> rule = " ".join(f"rule{k}" for k in range(300))
>>> def rows(prompts):
...     found = Describer().read([ReplyText(prompt, "card", 1, 1, None, None) for prompt in prompts])
...     return found.values.tolist(), found.prints, found.passages
>>> bare, behind = rows(asked), rows([f"{rule}\\n{each}" for each in asked])
>>> shared, own = of_reference(NAMES, *behind)
>>> digits = NAMES.index("prompt_digits")
>>> [[round(row[digits], 2) for row in each[:3]] for each in (bare[0], behind[0], own.rows)]
[[0.04, 0.13, 0.16], [0.39, 0.39, 0.39], [0.04, 0.13, 0.16]]
>>> shared.hashes and of_reference(NAMES, *bare)[0]
SharedText(hashes=b'', events=b'', centre=[])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.describe.descriptors import of_counts
from monitor.describe.passages import COUNTS, KEPT_SUMS, LEAST, PASSAGE, read

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Table = NDArray[np.void]

OTHERS = 2  # events, at least, with the same passage: what two share may be one question, asked twice
LITTLE = 0.01  # of a weight is taken off, and no border made: where a template's trace is all of a column, it is drift
OFTEN, FEWEST_OFTEN = 0.05, 8  # share of a reference's events, and events: from twice as many on one counts itself
_BITS = 64  # of a fingerprint; those beyond the sums that are kept are 0


class SharedText(msgspec.Struct, frozen=True):
    """The passages that events of a reference share."""

    hashes: bytes = b""  # rising, four bytes each
    events: bytes = b""  # how many of them hold each, four bytes each
    centre: list[float] = []  # mean of the sums that are left: a fingerprint has the signs around it

    def others(self, table: Table, numbers: Ints, *, known: bool) -> Floats:
        """Return of each passage how many other events hold it, 0 where it is not shared. `numbers`: of the passages of
        each event. `known`: they are the reference's own events."""
        hashes, events = np.frombuffer(self.hashes, "<u4"), np.frombuffer(self.events, "<u4")
        at = np.minimum(np.searchsorted(hashes, table["hash"]), len(hashes) - 1)
        found = np.where(hashes[at] == table["hash"], events[at].astype(np.float64), 0.0)
        if known:
            found -= np.clip(2.0 - found / max(OFTEN * len(numbers), FEWEST_OFTEN), 0.0, 1.0)
        return np.where(_may_be_shared(table, numbers) & (found >= OTHERS), found, 0.0)


@dataclass(frozen=True, slots=True)
class OwnText:
    """Events as what is left of their prompts describes them."""

    rows: list[list[float]]
    prints: list[int]


def of_reference(
    names: Sequence[str], rows: Sequence[Sequence[float]], prints: Sequence[int], passages: Sequence[bytes]
) -> tuple[SharedText, OwnText]:
    """Return what a reference's events share, and what is left of them. `passages`: of each event, or nothing."""
    plain = OwnText([list(row) for row in rows], list(prints))
    table, numbers = read(b"".join(passages)), _numbers(passages)
    some = _may_be_shared(table, numbers)
    events = np.repeat(np.arange(len(passages)), numbers)[some]
    once = np.unique(np.column_stack((events, table["hash"][some].astype(np.int64))), axis=0)
    hashes, counts = np.unique(once[:, 1], return_counts=True)
    if not (counts > OTHERS).any():
        return SharedText(), plain
    many = counts >= OTHERS
    found = SharedText(hashes[many].astype("<u4").tobytes(), counts[many].astype("<u4").tobytes())
    left, sums = _left(found, table, numbers, known=True)
    centre = sums[numbers > 0].mean(axis=0).tolist()
    found = msgspec.structs.replace(found, centre=centre)
    return found, _described(found, names, plain, numbers, left, sums)


def own_text(
    shared: SharedText,
    names: Sequence[str],
    rows: Sequence[Sequence[float]],
    prints: Sequence[int],
    passages: Sequence[bytes],
) -> OwnText:
    """Return what is left of later events' prompts. An event without passages, of a worker that knows none, stays as it
    is."""
    plain = OwnText([list(row) for row in rows], list(prints))
    if not shared.hashes or not any(passages):
        return plain
    numbers = _numbers(passages)
    left, sums = _left(shared, read(b"".join(passages)), numbers, known=False)
    return _described(shared, names, plain, numbers, left, sums)


def _numbers(passages: Sequence[bytes]) -> Ints:
    return np.fromiter(map(len, passages), np.int64, len(passages)) // PASSAGE.itemsize


def _may_be_shared(table: Table, numbers: Ints) -> NDArray[np.bool_]:
    """Return which passages may be more than what is asked: long ones, with others in their prompt."""
    found: NDArray[np.bool_] = (table["words"] >= LEAST) & (np.repeat(numbers, numbers) > 1)
    return found


def _left(shared: SharedText, table: Table, numbers: Ints, *, known: bool) -> tuple[Floats, Floats]:
    """Return of each event the counts and the sums that are left, each passage by its weight."""
    weights = (1.0 + shared.others(table, numbers, known=known)) ** -2
    some = numbers > 0
    firsts = (np.cumsum(numbers) - numbers)[some]
    weights /= np.repeat(np.maximum.reduceat(weights, firsts), numbers[some])
    weights = np.maximum(weights - LITTLE, 0.0) / (1.0 - LITTLE)
    columns = np.column_stack((*(table[name] for name in COUNTS), table["sums"])) * weights[:, None]
    totals = np.zeros((len(numbers), columns.shape[1]))
    totals[some] = np.add.reduceat(columns, firsts, axis=0)
    return totals[:, : len(COUNTS)], totals[:, len(COUNTS) :]


def _described(
    shared: SharedText,
    names: Sequence[str],
    plain: OwnText,
    numbers: Ints,
    counts: Floats,
    sums: Floats,
) -> OwnText:
    """Return the events by what is left of them; those without passages as they are."""
    some = np.flatnonzero(numbers)
    values = np.array(plain.rows, dtype=np.float64).reshape(len(plain.rows), len(names))
    for name, column in of_counts(counts, sums).items():
        if name in names:
            values[some, list(names).index(name)] = column[some].round(4)
    bits = np.zeros((len(some), _BITS), dtype=np.uint8)
    bits[:, :KEPT_SUMS] = sums[some] > np.array(shared.centre)
    prints = list(plain.prints)
    for place, row in zip(some.tolist(), np.packbits(bits, axis=1), strict=True):
        prints[place] = int.from_bytes(row.tobytes(), "big")
    return OwnText(values.tolist(), prints)
