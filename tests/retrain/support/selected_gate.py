"""Verdicts on rows whose labels were chosen in one way or another; the rows are drawn, the gate is the one that
ships."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.random import Generator

from monitor.selection.sources import Selection, may_judge
from monitor.selection.weights import UNIFORM, drawn, fairly
from retrain.evaluation.checks import REGRESSION, TARGET
from retrain.evaluation.comparison import start
from retrain.evaluation.gate import GateInput, GateVerdict, judge, waits
from retrain.evaluation.missing import MissingPairs
from retrain.settings import RetrainSettings

REPLIES = 20_000
AUDITED = 0.05
HEALTHY = 0.02  # of the answers to healthy rows: either side is wrong where the other is right, as often
STEP = 50

Labelled = Callable[[Generator, float], bool]  # whether a reply gets a label, by the champion's score


@dataclass(frozen=True)
class Choice:
    """How labels come about. `frame`: the share of the replies that may have one; `labelled`: which of them do."""

    selection: Selection
    frame: float
    labelled: Labelled


def missing(right: float, wrong: float) -> Labelled:
    """Labels are missing for so many of the right and of the wrong answers."""
    return lambda rng, score: bool(rng.random() >= (right if score else wrong))


def by_doubt(thinned: bool) -> Labelled:
    """Labels are of replies that were drawn by how doubtful they looked, which knows something of the answer, whole or
    thinned to those drawn evenly. Of the others nothing is known."""

    def labelled(rng: Generator, score: float) -> bool:
        id, share = str(rng.integers(2**62)), 0.2
        probability = 1.0 if rng.random() < (0.1 if score else 0.6) else share * UNIFORM
        return drawn(id, probability, "seed") and (not thinned or fairly(id, share, probability))

    return labelled


CHOICES = {
    "drawn by doubt": Choice("wanted", 0.2, by_doubt(thinned=True)),
    "random": Choice("random", AUDITED, missing(0.0, 0.0)),
    "audit": Choice("audit", AUDITED, missing(0.0, 0.0)),
    "audit, a tenth missing": Choice("audit", AUDITED, missing(0.1, 0.1)),
    "audit, a tenth of right answers' missing": Choice("audit", AUDITED, missing(0.1, 0.0)),
    "audit, a third missing": Choice("audit", AUDITED, missing(1 / 3, 1 / 3)),
    "volunteered 5/50": Choice("volunteered", 0.1, missing(0.95, 0.5)),
    "volunteered 0/100": Choice("volunteered", 0.1, missing(1.0, 0.0)),
    "volunteered 50/5": Choice("volunteered", 0.1, missing(0.5, 0.95)),
}


def verdict(choice: Choice, gain: float, discordant: float, rng: Generator, replies: int = REPLIES) -> GateVerdict:
    """Of a candidate that is better by `gain` on the fresh rows, where the share `discordant` differs in score."""
    gate = start(RetrainSettings(), "candidate", "champion", None, {})
    gate = _asked(gate, TARGET, choice, (discordant + gain) / 2, (discordant - gain) / 2, rng, replies)
    gate = _asked(gate, REGRESSION, choice, HEALTHY, HEALTHY + max(0.0, -gain), rng, replies)
    return judge(gate)


def _asked(
    gate: GateInput, part: str, choice: Choice, won: float, lost: float, rng: Generator, replies: int
) -> GateInput:
    """Ask rows a step at a time, until the verdict waits for no more."""
    count = int(rng.binomial(replies, choice.frame))
    drawn = rng.choice(3, size=count, p=[won, lost, 1.0 - won - lost])
    both_wrong = rng.random(count) < 0.1
    for first in range(0, count, STEP):
        if first and not waits(gate, part):
            break
        pairs, same, differing, unfair = [], 0, 0, 0
        for kind, bad in zip(
            drawn[first : first + STEP].tolist(), both_wrong[first : first + STEP].tolist(), strict=True
        ):
            pair = ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0) if bad else (1.0, 1.0))[kind]
            if not choice.labelled(rng, pair[1]):
                same, differing = same + (kind == 2), differing + (kind != 2)
            elif may_judge(choice.selection):
                pairs.append(pair)
            else:
                unfair += 1
        known = gate.missing.get(part, MissingPairs())
        absent = known + MissingPairs(same, differing) if choice.selection == "audit" else known
        gate = msgspec.structs.replace(
            gate,
            **{part: [*getattr(gate, part), *pairs]},
            missing=gate.missing | {part: absent},
            unfair={choice.selection: gate.unfair.get(choice.selection, 0) + unfair},
        )
    return gate


def promoted(name: str, gain: float, discordant: float, runs: int, seed: int, status: str = "promote") -> float:
    """Return the share of verdicts of this status."""
    found = 0
    for run in range(runs):
        rng = np.random.default_rng((seed, run))
        found += verdict(CHOICES[name], gain, discordant, rng).status == status
    return found / runs
