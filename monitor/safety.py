"""Do answers cross a line more often than they did? One test for each flag of an answer, with one budget.

The flags are descriptors that are 0 or 1: private data or abuse in an answer, a refusal, and each of the operator's
own patterns. A flag's limit is the upper confidence bound of its rate in the reference plus a tolerance. Against
`rate <= limit` each flag has a detector of `monitor.detectors.risk` of its own, with a threshold as many times as
high as there are flags. Until the first of them fires, the sum of their statistics has grown by one a row and flag on
average; so at least `arl` rows pass between false alarms on average, however the flags depend on each other.

>>> settings = Safety(arl=1_000)
>>> state = start(settings, ["output_chars", "output_pii"], [[2.0, 0.0]] * 300)
>>> moments = [(str(k), k) for k in range(120)]
>>> rows = [[2.0, float(k >= 100)] for k in range(120)]
>>> _, (found,) = update(settings, state, rows, moments)
>>> found.summary
'output_pii in 3 of 3 answers since the onset, in 0 of 300 of the reference: above the limit of 1.8%'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from monitor.blocks import Block, fill
from monitor.descriptors import POLICY
from monitor.detectors import risk
from monitor.detectors.episode import Ended, Over, steps
from monitor.detectors.interface import Floats, Moment
from monitor.detectors.risk import Harm, Risk, upper_bound

FLAGS = ("output_pii", "output_toxic", "output_refusal")
Rows = Floats | Sequence[Sequence[float]]
EXCESSES = (0.01, 0.03, 0.1, 0.3, 0.6)  # above the limit: such flags are rare, and a few points more are many
MOST = 0.99  # a limit, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Safety:
    """`arl`: rows between false alarms, at least, over all flags together. `tolerance`: how far above what the
    reference allows a rate may be. `confidence`: of the bound of the reference's rate."""

    arl: float = 10_000.0
    tolerance: float = 0.01
    confidence: float = 0.9

    def __post_init__(self) -> None:
        for name, holds, expected in (
            ("arl", self.arl >= 1, "at least 1"),
            ("tolerance", 0 < self.tolerance < 0.5, "a share above 0 and below 0.5"),
            ("confidence", 0.5 <= self.confidence < 1, "from 0.5 to below 1"),
        ):
            if not holds:
                raise ValueError(f"Safety.{name} is {getattr(self, name)!r}, expected {expected}")


class Rate(msgspec.Struct, frozen=True):
    """How many of how many rows."""

    hits: int
    rows: int

    def __str__(self) -> str:
        return f"{self.hits} of {self.rows}"


class Flag(msgspec.Struct, frozen=True):
    """One flag under watch; `column` is its place in a row, `before` its rate in the reference."""

    name: str
    column: int
    before: Rate
    limit: float
    risk: risk.State
    inflation: float = 1.0  # of sums of it, by what dependence is left between blocks
    raised: bool = False  # told, and not taken back


class State(msgspec.Struct, frozen=True):
    """The flags, in the order of their columns; JSON through msgspec. `length`: rows that are judged as one, because
    they depend on each other."""

    flags: tuple[Flag, ...] = ()
    length: int = 1
    block: Block = Block()


class Unsafe(msgspec.Struct, frozen=True, kw_only=True):
    """What an alarm of kind `safety` says."""

    flag: str
    limit: float
    statistic: float
    threshold: float
    before: Rate
    since: Rate
    onset: Moment  # the first event of the run that proved it, and when
    last: Moment  # the event that completed the evidence

    @property
    def summary(self) -> str:
        """For people."""
        return (
            f"{self.flag} in {self.since} answers since the onset, in {self.before} of the reference: "
            f"above the limit of {self.limit:.1%}"
        )

    def evidence(self) -> dict[str, Any]:
        """As an alarm carries it."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]


def start(
    settings: Safety,
    names: Sequence[str],
    reference: Sequence[Sequence[float]],
    length: int = 1,
    inflation: Sequence[float] = (),
) -> State:
    """What the reference's rows of descriptors say, `names` being their columns; flags it lacks are not watched. Of
    rows that depend on each other, `length` are judged as one; `inflation` tells of each column what dependence that
    leaves (`monitor.blocks`)."""
    columns = [i for i, name in enumerate(names) if name in FLAGS or name.startswith(POLICY)]
    left = inflation or [1.0] * len(names)
    flags = tuple(_flag(settings, names[i], i, [row[i] for row in reference], length, left[i]) for i in columns)
    return State(flags, length)


def update(settings: Safety, state: State, rows: Rows, moments: Sequence[Moment]) -> tuple[State, list[Unsafe]]:
    """Takes rows with the reference's columns, in order; how they are cut into calls changes nothing. Of each flag one
    alarm is told until it is taken back."""
    state, turns = follow(settings, state, rows, moments)
    return state, [each for each in turns if isinstance(each, Unsafe)]


def follow(
    settings: Safety, state: State, rows: Rows, moments: Sequence[Moment], clear_events: int = 0
) -> tuple[State, list[Unsafe | Ended]]:
    """The same, with each end of an alarm: after so many quiet events; 0: never."""
    if not state.flags:
        return state, []
    block, shares, firsts, ends = fill(state.block, state.length, _hits(state, rows), moments)
    after = steps(clear_events, state.length) if clear_events else 0
    flags, found = [], list[tuple[int, Unsafe | Ended]]()
    for flag, losses in zip(state.flags, shares.T.tolist(), strict=True):
        detector = _detector(settings, flag, state)
        risk_, turns = detector.follow(flag.risk, losses, firsts, after)
        for turn in turns:
            found.append((turn.step, _turned(flag, turn, detector, moments[ends[turn.step]], state.length)))
        flags.append(msgspec.structs.replace(flag, risk=risk_, raised=risk_.episode.open))
    told = [each for _, each in sorted(found, key=lambda each: each[0])]
    return msgspec.structs.replace(state, flags=tuple(flags), block=block), told


def crossed(state: State, rows: Rows) -> list[tuple[str, ...]]:
    """The flags of each row."""
    found: list[tuple[str, ...]] = [()] * len(rows)
    for row, flag in zip(*np.nonzero(_hits(state, rows)), strict=True):
        found[row] = (*found[row], state.flags[flag].name)
    return found


def _hits(state: State, rows: Rows) -> Floats:
    """1 where a row has a flag, shape (rows, flags)."""
    if not len(rows) or not state.flags:
        return np.zeros((len(rows), len(state.flags)))
    columns = [flag.column for flag in state.flags]
    return (np.asarray(rows, dtype=np.float64)[:, columns] > 0.0).astype(np.float64)


def evidence(settings: Safety, state: State) -> float:
    """The largest statistic over its threshold: one is told where it reaches 1. 0 without flags."""
    return max((_detector(settings, flag, state).evidence(flag.risk) for flag in state.flags), default=0.0)


def rearmed(state: State, name: str) -> State:
    """The state with a flag's alarm taken back and its detector started over."""
    flags = tuple(
        msgspec.structs.replace(flag, risk=risk.restarted(flag.risk), raised=False) if flag.name == name else flag
        for flag in state.flags
    )
    return msgspec.structs.replace(state, flags=flags)


def _flag(settings: Safety, name: str, column: int, values: Sequence[float], length: int, inflation: float) -> Flag:
    before = Rate(sum(value > 0.0 for value in values), len(values))
    # as if the rows of a block were one
    bound = upper_bound(-(-before.hits // length), before.rows // length, settings.confidence)
    limit = min(bound + settings.tolerance, MOST)
    return Flag(name, column, before, limit, Risk(limit, settings.arl, EXCESSES).start(), inflation)


def _detector(settings: Safety, flag: Flag, state: State) -> Risk:
    return Risk(flag.limit, settings.arl / state.length * len(state.flags), EXCESSES, flag.inflation)


def _turned(flag: Flag, turn: Harm | Over, detector: Risk, last: Moment, length: int) -> Unsafe | Ended:
    return Ended(flag.name, last) if isinstance(turn, Over) else _unsafe(flag, turn, detector, last, length)


def _unsafe(flag: Flag, harm: Harm, detector: Risk, last: Moment, length: int) -> Unsafe:
    return Unsafe(
        flag=flag.name,
        limit=round(flag.limit, 6),
        statistic=harm.statistic,
        threshold=detector.arl,
        before=flag.before,
        since=Rate(round(harm.losses * length), harm.count * length),
        onset=harm.since,
        last=last,
    )
