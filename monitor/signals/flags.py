"""The test of flags: one for each flag of an answer, with one budget.

The flags are descriptors that are 0 or 1: private data or abuse in an answer, a refusal, and each of the operator's
own patterns. A flag's limit is the upper confidence bound of its rate in the reference plus a tolerance. Against
`rate <= limit` each flag has a detector of `monitor.detectors.risk` of its own, with a threshold as many times as
high as there are flags. Until the first of them fires, the sum of their statistics has grown by one a row and flag on
average; so at least `arl` rows pass between false alarms on average, however the flags depend on each other. What one
person got in a turn is one step, for flags come in lumps too, and several people must have seen one.

>>> settings = Safety(arl=1_000)
>>> state = start(settings, ["output_chars", "output_pii"], [[2.0, 0.0]] * 300)
>>> moments = [(str(k), k) for k in range(120)]
>>> rows = [[2.0, float(k >= 100)] for k in range(120)]
>>> _, (found,) = follow(settings, state, rows, moments)
>>> found.summary.split(", in ")[0]
'output_pii in 3 of 3 answers since the onset, to 3 people or more'
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from monitor.describe.descriptors import POLICY
from monitor.describe.fingerprint import event_print
from monitor.describe.people import UNKNOWN, person, witness
from monitor.detectors import risk
from monitor.detectors.blocks import Block, fill
from monitor.detectors.episode import EndedAlarm, Over, steps
from monitor.detectors.interface import Floats, Moment
from monitor.detectors.risk import ProvenHarm, Risk, Walk, leaves_room, upper_bound
from monitor.reference.dependence import Pace, pace
from monitor.rows import TURN_MS
from monitor.settings import Safety
from monitor.signals.turns import Steps, TurnRow, alone, apart, stepped

FLAGS = ("output_pii", "output_toxic", "output_refusal")
Rows = Floats | Sequence[Sequence[float]]
EXCESSES = (0.01, 0.03, 0.1, 0.3, 0.6)  # above the limit: such flags are rare, and a few points more are many
NOTHING = tuple(Walk() for _ in EXCESSES)
PEOPLE_KEPT = 16
TURN_KEPT = 4_000
ALMOST = 1.0 - 1e-9  # of the threshold


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
    raised: bool = False  # its alarm is open
    people: dict[int, int] = {}  # who saw it last -> how many rows there had been


class State(msgspec.Struct, frozen=True):
    """The flags, in the order of their columns; JSON through msgspec. `length`: steps that are judged as one, because
    they depend on each other. `turn`: rows of the turn that is not over. `rows`: how many were taken."""

    flags: tuple[Flag, ...] = ()
    length: int = 1
    block: Block = Block()
    turn: list[TurnRow] = []
    rows: int = 0
    left_out: tuple[Flag, ...] = ()  # flags so frequent in the reference that no harm could be proven above


class FlagHarm(msgspec.Struct, frozen=True, kw_only=True):
    """What an alarm of kind `safety` says."""

    flag: str
    limit: float
    statistic: float
    threshold: float
    before: Rate
    since: Rate
    people: int = 0  # who saw it since the onset, as far as anything shows that they were others
    onset: Moment  # the first event of the run that proved it, and when
    last: Moment  # the event that completed the evidence

    @property
    def summary(self) -> str:
        """Return a sentence for people."""
        return (
            f"{self.flag} in {self.since} answers since the onset, to {self.people} people or more, in {self.before} "
            f"of the reference: above the limit of {self.limit:.1%}"
        )

    def evidence(self) -> dict[str, Any]:
        """Return it as an alarm carries it."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]


def start(
    settings: Safety,
    names: Sequence[str],
    reference: Sequence[Sequence[float]],
    people: Sequence[int] = (),
    times_ms: Sequence[int] = (),
) -> State:
    """Return what the reference's rows of descriptors say, `names` being their columns; flags it lacks are not watched.
    `people`, `times_ms`: whose rows they are and when they came, where that is known: what one person got in a second
    is one step. Of steps that depend on each other several are judged as one."""
    columns = [i for i, name in enumerate(names) if name in FLAGS or name.startswith(POLICY)]
    hits = (np.asarray(reference, dtype=np.float64).reshape(len(reference), len(names))[:, columns] > 0.0).astype(float)
    whose = list(people) or [UNKNOWN] * len(hits)
    rows = [
        TurnRow(times_ms[k] // TURN_MS if times_ms else 0, who, UNKNOWN, ("", 0), row)
        for k, (who, row) in enumerate(zip(whose, hits.tolist(), strict=True))
    ]
    found = stepped(rows, len(columns)).values
    known = pace(found) if found.size else Pace(1, np.ones(len(columns)), np.zeros(len(columns), np.int64))
    rates = found.mean(axis=0) if found.size else np.zeros(len(columns))
    before = [Rate(int(hits[:, j].sum()), len(hits)) for j in range(len(columns))]
    flags = [
        _flag(settings, (names[i], i), before[j], float(rates[j]), int(known.worth[j]), float(known.inflation[j]))
        for j, i in enumerate(columns)
    ]
    tested = tuple(flag for flag in flags if leaves_room(flag.limit))
    return State(tested, known.block, left_out=tuple(flag for flag in flags if flag not in tested))


def follow(
    settings: Safety,
    state: State,
    rows: Rows,
    moments: Sequence[Moment],
    clear_events: int = 0,
    *,
    clients: Sequence[str] = (),
    turns: Sequence[int] = (),
    ends_turn: bool = True,
) -> tuple[State, list[FlagHarm | EndedAlarm]]:
    """Take rows with the reference's columns, in order; how they are cut into calls changes nothing. Return one alarm
    of each flag until it is over, and each end of one: after so many quiet events; 0: never. `clients`, `turns`: who
    got each row, as events name them, and in which turn; rows wait until their turn ends. Without clients each row is
    another person's."""
    if not state.flags:
        return state, []
    people = [person(client) for client in clients] or [UNKNOWN] * len(moments)
    which, values = turns or [0] * len(moments), _hits(state, rows)
    whose = _witnesses(values, moments, clients)
    if not state.turn and ends_turn and apart(which, people):
        return _judged(settings, state, alone(values, moments, whose), clear_events)
    held = [*state.turn, *map(TurnRow, which, people, whose, moments, values.tolist())]
    if not ends_turn and len(held) < TURN_KEPT:
        return replace(state, turn=held), []
    taken = stepped(held, len(state.flags))
    return _judged(settings, replace(state, turn=[]), taken, clear_events)


def _witnesses(hits: Floats, moments: Sequence[Moment], clients: Sequence[str]) -> list[int]:
    """Return who saw a flag in each row; without clients another person in each."""
    whose = [UNKNOWN] * len(moments)
    for k in np.flatnonzero(hits.any(axis=1)).tolist():
        id, time_ms = moments[k]
        whose[k] = witness(clients[k], time_ms) if clients else event_print(id)
    return whose


def _judged(
    settings: Safety, state: State, taken: Steps, clear_events: int
) -> tuple[State, list[FlagHarm | EndedAlarm]]:
    """Take the steps past each flag's detector."""
    table = np.column_stack((taken.values, np.array(taken.rows, dtype=np.float64)))
    block, means, firsts, ends = fill(state.block, state.length, table, taken.firsts)
    weights = np.round(means[:, -1] * state.length).astype(np.int64).tolist()
    after = steps(clear_events, state.length) if clear_events else 0
    places = list(accumulate(taken.rows, initial=_rows(state)))  # rows before each step
    flags, found = [], list[tuple[int, FlagHarm | EndedAlarm]]()
    for j, flag in enumerate(state.flags):
        known = [(places[k], who) for k, who in taken.seen[j]]
        witnesses = _Witnesses(flag, settings.least_people, known, [places[end] for end in ends])
        detector = _detector(settings, flag, state)
        walking = detector.walking(flag.risk, weights)
        for each in detector.walk(walking, means[:, j].tolist(), firsts, after, witnesses.most):
            last = taken.lasts[ends[each.step]]
            found.append((each.step, _transition(flag, each, detector, witnesses, last)))
        witnesses.see()
        flags.append(replace(flag, risk=walking.state(firsts), raised=walking.open, people=witnesses.people))
    transitions = [transition for _, transition in sorted(found, key=lambda one: one[0])]
    return replace(state, flags=tuple(flags), block=block, rows=places[-1]), transitions


def _rows(state: State) -> int:
    """Return how many rows were taken; a state of an earlier release does not say."""
    return max([state.rows, *(flag.risk.count for flag in state.flags)])


class _Witnesses:
    """Who saw a flag, while one call goes on. One person must not raise an alarm: until `least` saw it since the onset,
    the evidence is held down, by a factor of ten for each that is missing."""

    def __init__(self, flag: Flag, least: int, seen: Sequence[tuple[int, int]], places: Sequence[int]) -> None:
        """`seen`: rows before, and who saw the flag then. `places`: rows up to the end of each step."""
        self.people, self.least, self.places = dict(flag.people), least, places
        self.seen = deque(seen)

    def most(self, k: int, loss: float, began: Callable[[], int]) -> float:
        """Return what the evidence is at most at this step. Only losses bring evidence."""
        if loss <= 0.0:
            return ALMOST
        self.see(self.places[k])
        missing = self.least - self.since(began())
        return float(10.0**-missing) if missing > 0 else math.inf

    def see(self, until: int | None = None) -> None:
        """Take who saw the flag up to this place; None: all that is left, in a block that is not full."""
        while self.seen and (until is None or self.seen[0][0] <= until):
            place, who = self.seen.popleft()
            self.people.pop(who, None)
            self.people[who] = place
            if len(self.people) > max(PEOPLE_KEPT, self.least):
                del self.people[next(iter(self.people))]

    def since(self, place: int) -> int:
        """Return how many saw the flag since then."""
        return sum(at >= place for at in self.people.values())


def crossed(state: State, rows: Rows) -> list[tuple[str, ...]]:
    """Return the flags of each row."""
    found: list[tuple[str, ...]] = [()] * len(rows)
    for row, flag in zip(*np.nonzero(_hits(state, rows)), strict=True):
        found[row] = (*found[row], state.flags[flag].name)
    return found


def _hits(state: State, rows: Rows) -> Floats:
    """Return 1 where a row has a flag, shape (rows, flags)."""
    if not len(rows) or not state.flags:
        return np.zeros((len(rows), len(state.flags)))
    columns = [flag.column for flag in state.flags]
    return (np.asarray(rows, dtype=np.float64)[:, columns] > 0.0).astype(np.float64)


def evidence(settings: Safety, state: State) -> float:
    """Return the largest statistic over its threshold: an alarm is raised where it reaches 1. 0 without flags."""
    return max((_detector(settings, flag, state).evidence(flag.risk) for flag in state.flags), default=0.0)


def restarted(state: State, name: str) -> State:
    """Return the state with a flag's alarm taken back and its detector started over."""
    flags = tuple(
        replace(flag, risk=risk.restarted(flag.risk), raised=False) if flag.name == name else flag
        for flag in state.flags
    )
    return replace(state, flags=flags)


def _flag(settings: Safety, place: tuple[str, int], before: Rate, rate: float, worth: int, inflation: float) -> Flag:
    bound = upper_bound(math.ceil(rate * worth - 1e-9), worth, settings.confidence)
    return Flag(*place, before, bound + settings.tolerance, risk.State(NOTHING), inflation)


def _detector(settings: Safety, flag: Flag, state: State) -> Risk:
    return Risk(flag.limit, settings.arl / state.length * len(state.flags), EXCESSES, flag.inflation)


def _transition(
    flag: Flag, transition: ProvenHarm | Over, detector: Risk, witnesses: _Witnesses, last: Moment
) -> FlagHarm | EndedAlarm:
    if isinstance(transition, Over):
        return EndedAlarm(flag.name, last)
    return FlagHarm(
        flag=flag.name,
        limit=round(flag.limit, 6),
        statistic=transition.statistic,
        threshold=detector.arl,
        before=flag.before,
        since=Rate(round(transition.losses), transition.count),
        people=witnesses.since(transition.before),
        onset=transition.since,
        last=last,
    )
