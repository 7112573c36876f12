"""The columns that `monitor` judges: one entry an event, in the order of the source's offsets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import msgspec
from msgspec.structs import force_setattr, replace

from monitor.losses import of_verdict

TURN_MS = 1_000  # of the log's time
SPARSE: dict[str, Callable[[], object]] = {  # columns left out where they say nothing, and what says nothing
    "cohorts": list,
    "ratings": dict,
    "weights": lambda: 1.0,
}


class ScoreRows(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of equal length. Served replies fill everything but `losses`, `metrics`, `complaints` and `ratings`;
    feedback fills ids, versions, arms, clients, `assigned` and these four, and leaves the rest empty."""

    offsets: list[int]  # in the source's partition
    ids: list[str]  # the inference event's id, in feedback too
    times_ms: list[int]  # event time, milliseconds since the epoch: when the reply ended, or the label was given
    versions: list[str]  # that answered
    arms: list[str]  # champion, canary or shadow: of the version that answered
    clients: list[str]  # who asked, as `InferenceServed.client`; in feedback the key that gave it
    statuses: list[int] = []  # HTTP, as the client saw them
    ttft_ms: list[float] = []  # request to first token, as `InferenceServed.ttft_ms`
    tpot_ms: list[float] = []  # time per output token after the first; 0 where unknown
    latency_ms: list[float] = []  # request to the end of the reply
    descriptors: list[list[float]] = []  # rows x descriptors, finite
    losses: list[float | None] = []  # feedback alone: how bad the reply was, from 0 to 1; None where that is not known
    metrics: list[str] = []  # feedback alone: the name of what made each loss; empty where that is not known
    fingerprints: list[int] = []  # of the prompts (`monitor.describe.fingerprint.text_prints`)
    sums: list[bytes] = []  # of the prompts' words (`fingerprint.sum_sketches`): how many words differ between two
    passages: list[bytes] = []  # of the prompts (`monitor.describe.passages`): what of them others share
    finish_reasons: list[str] = []  # the engine's own; empty where none came
    answers: list[str] = []  # where it is short: what was answered, as a category; else empty
    tags: list[dict[str, str]] = []  # tenant, language, group, as the client named them
    assigned: list[str] = []  # the arms that were drawn; no column where all are as `arms`
    units: list[int] = []  # for whom each was drawn: the conversation, else the end user, else 0; no column of zeros
    complaints: list[bool] = []  # feedback alone: whether it complains of the reply
    logged_ms: list[int] = []  # when the log took each; empty where rows are those of one turn, in their final order
    origins: list[str] = []  # feedback alone: who chose the reply (`monitor.selection.sources.Origin.name`)
    weights: list[float] = []  # feedback alone: how many times each loss counts; no column where all count once
    # sources whose labels of all such replies are awaited, and the judge model that scores it; no column where none is
    cohorts: list[list[str]] = []
    ratings: list[dict[str, float]] = []  # feedback alone: a fair thumb's or score's loss; no column where none is
    correct: list[bool | None] = []  # in records from before losses alone, and read as them

    def __post_init__(self) -> None:
        if self.correct:
            force_setattr(self, "losses", [of_verdict(correct) for correct in self.correct])
            force_setattr(self, "metrics", [""] * len(self.correct))
            force_setattr(self, "correct", [])

    def __len__(self) -> int:
        return len(self.offsets)

    def take(self, indices: Sequence[int]) -> ScoreRows:
        """Return the rows at `indices`, in that order; empty columns stay empty."""
        if len(indices) == len(self) and list(indices) == list(range(len(self))):
            return self
        if isinstance(indices, range) and indices.step == 1:
            taken = {name: column[indices.start : indices.stop] for name, column in self._columns()}
        else:
            taken = {name: [column[i] for i in indices] if column else [] for name, column in self._columns()}
        return ScoreRows(**taken)  # type: ignore[arg-type]

    def after(self, offset: int) -> ScoreRows:
        """Return the rows whose offset is `offset` or more: what a watermark has not yet covered."""
        if not self.offsets or self.offsets[0] >= offset:
            return self
        return self.take([i for i, at in enumerate(self.offsets) if at >= offset])

    def columns(self) -> set[str]:
        """Return the columns that have values; without those that are left out where they say nothing."""
        return {name for name, column in self._columns() if column} - SPARSE.keys()

    def odd(self) -> list[str]:
        """Return the columns that are neither empty nor as long as the offsets: their rows are unknown."""
        return [name for name, column in self._columns() if column and len(column) != len(self)]

    def _columns(self) -> list[tuple[str, list[object]]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__]


def joined(parts: Sequence[ScoreRows]) -> ScoreRows:
    """Return the rows of all parts, at least one, in their order. Raises ValueError where one has a column that another
    lacks."""
    if len(parts) == 1:
        return parts[0]
    have = [part.columns() for part in parts]
    if odd := have[0].union(*have) - have[0].intersection(*have):
        raise ValueError(f"rows cannot be joined: only one part has {', '.join(sorted(odd))}")
    for name, nothing in SPARSE.items():
        if any(getattr(part, name) for part in parts):
            parts = [_filled(part, name, nothing) for part in parts]
    names = ScoreRows.__struct_fields__
    return ScoreRows(**{name: list(chain.from_iterable(getattr(part, name) for part in parts)) for name in names})


def _filled(part: ScoreRows, name: str, nothing: Callable[[], object]) -> ScoreRows:
    return part if getattr(part, name) else replace(part, **{name: [nothing() for _ in part.offsets]})


def turns_of(rows: ScoreRows, time_ms: int) -> list[int]:
    """Return the turn of each row, equal for those of one; that of `time_ms` for all where they do not say when they
    came."""
    return [ms // TURN_MS for ms in rows.logged_ms] or [time_ms // TURN_MS] * len(rows)
