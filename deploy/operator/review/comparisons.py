"""Two answers to one question side by side, without a name: which one does a person prefer?

Pairs are replies and what a shadow answered to the same question. Which of them stands first is drawn by a hash of pair
and person. A preference is an operator's decision in the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from deploy.operator.labels import wanted
from deploy.show.intervals import wilson
from monitor.describe.fingerprint import event_print
from streams import codec
from streams.events import DecisionRecorded, InferenceServed
from streams.kinds import Arm, DecisionKind
from streams.lake.lake import Lake
from streams.lake.table import question
from streams.topics import INFERENCE

ACTION = "prefer"  # of an operator's decision
Choice = Literal["a", "b", "tie"]


class BlindPair(msgspec.Struct, frozen=True, kw_only=True):
    """Two answers as a person sees them. `id`: of the shadow's reply."""

    id: str
    question: str
    a: str
    b: str


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """One person's choice, with the names that they did not see. `better` and `worse`: versions; of a tie, in any
    order."""

    pair: str
    better: str
    worse: str
    tie: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """How often one version was preferred to another."""

    versions: tuple[str, str]
    wins: tuple[int, int]
    ties: int

    def line(self) -> str:
        """Return it for people: half of the ties is the first version's."""
        count = sum(self.wins) + self.ties
        low, high = wilson(self.wins[0] + self.ties / 2, count)
        first, second = self.versions
        one, other = self.wins
        return f"{first} against {second}: preferred {one}, not {other}, ties {self.ties} ({low:.0%} to {high:.0%})"


def pairs(lake: Lake, alias: str, since_ms: int, by: str, done: Iterable[str]) -> Iterator[BlindPair]:
    """Yield the pairs on which the person has not decided yet, equal answers left out."""
    known, columns = set(done), ("id", "arm", "mirrors", "status")
    ids = [
        row["id"]
        for part in lake.rows(INFERENCE, alias=alias, since_ms=since_ms, columns=columns)
        for row in part.to_pylist()
        if row["arm"] == Arm.SHADOW and row["mirrors"] and row["status"] == 200 and row["id"] not in known
    ]
    for id in sorted(ids, key=event_print):
        both = _both(lake, alias, id)
        if both is not None and both[0].output != both[1].output:
            a, b = _drawn(both, by)
            yield BlindPair(id=id, question=question(a.input_messages), a=a.output, b=b.output)


def preference(lake: Lake, alias: str, pair: str, choice: Choice, by: str) -> Preference:
    """Return a person's choice with the versions' names. Raise LookupError where there is no such pair."""
    both = _both(lake, alias, pair)
    if both is None:
        raise LookupError(f"pair is {pair!r}, expected the id of one that `review compare` shows")
    a, b = _drawn(both, by)
    better, worse = (b, a) if choice == "b" else (a, b)
    return Preference(pair=pair, better=better.version, worse=worse.version, tie=choice == "tie")


def recorded(alias: str, found: Preference, by: str, now_ms: int) -> DecisionRecorded:
    """Return a preference as the ledger has it: one for each person and pair, of which the first counts."""
    return DecisionRecorded(
        id=codec.deterministic_id("preference", found.pair, by),
        alias=alias,
        time_ms=now_ms,
        kind=DecisionKind.OPERATOR,
        function="operator",
        inputs={"action": ACTION, "by": by},
        output=codec.plain(found),
        summary=f"{by}: {found.better} and {found.worse}, a tie"
        if found.tie
        else f"{by}: {found.better} before {found.worse}",
    )


def preferences(decisions: Iterable[DecisionRecorded], alias: str) -> list[tuple[str, Preference]]:
    """Return who decided how, by the ledger."""
    return [
        (str(each.inputs["by"]), msgspec.convert(each.output, Preference))
        for each in decisions
        if each.alias == alias and each.inputs.get("action") == ACTION
    ]


def tallies(found: Iterable[Preference]) -> list[Tally]:
    """Count preferences for each two versions.

    >>> one = Preference(pair="p", better="s-new", worse="s-old")
    >>> [each.line() for each in tallies([one, one, Preference(pair="q", better="s-old", worse="s-new", tie=True)])]
    ['s-new against s-old: preferred 2, not 0, ties 1 (31% to 98%)']
    """
    wins: Counter[tuple[str, str]] = Counter()
    ties: Counter[tuple[str, str]] = Counter()
    for each in found:
        if each.tie:
            ties[min(each.better, each.worse), max(each.better, each.worse)] += 1
        else:
            wins[each.better, each.worse] += 1
    both = sorted({(min(pair), max(pair)) for pair in [*wins, *ties]})
    return [Tally((one, other), (wins[one, other], wins[other, one]), ties[one, other]) for one, other in both]


def _both(lake: Lake, alias: str, shadow: str) -> tuple[InferenceServed, InferenceServed] | None:
    """Return a shadow's reply and the one whose question it was asked; None where either is gone."""
    mine: Mapping[str, InferenceServed] = wanted.replies(lake, alias, [shadow])
    served = wanted.replies(lake, alias, [mine[shadow].mirrors]) if shadow in mine and mine[shadow].mirrors else {}
    return (next(iter(served.values())), mine[shadow]) if served else None


def _drawn(both: tuple[InferenceServed, InferenceServed], by: str) -> tuple[InferenceServed, InferenceServed]:
    """Return both in the order in which this person sees them."""
    swapped = event_print(f"{both[1].id}/{by}") & 1
    return (both[1], both[0]) if swapped else both
