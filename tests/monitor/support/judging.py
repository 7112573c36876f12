"""An audit whose replies a judge model scores as well, through the parts that ship: its first labels say what is usual
and how much the judge is worth, then the answers become worse."""

from __future__ import annotations

from functools import cache

import numpy as np
from msgspec.structs import replace

from monitor.detectors.interface import Floats
from monitor.detectors.powered import NO_CONTROL, Powered
from monitor.selection.ordered import estimated, given, served, turned
from monitor.selection.ordered_labels import Arrived, AwaitedReply, OrderedLabels, OrderedRules
from tests.monitor.support.audited import ARL, AUDITED, LIMIT, PER_STEP, Judge

NAME = "judge/tone by gpt"
LEARNED = 400  # labels
CHUNK = 200  # replies
EVERY_MS = 1_000
RULES = OrderedRules(arl=ARL, least=LEARNED, audit=True, wait_ms=20_000)


class JudgedAudit:
    """Replies in their order, audited and scored by hashes that know nothing of the answers. `share`: of the replies
    that the judge scores, the audited ones among them; `away`: of these, those of which it says nothing."""

    def __init__(
        self, state: OrderedLabels, seed: int, share: float = 1.0, away: float = 0.0, rules: OrderedRules = RULES
    ) -> None:
        self.rules = rules
        self.state, self.share, self.away = state, share, away
        self.rng = np.random.default_rng((11, seed < 0, abs(seed)))
        self.first = 1 if seed < 0 else 10_000_000
        self.audited: list[int] = []

    def take(self, losses: Floats, estimates: Floats) -> int | None:
        """Serve these replies; return the last reply of the evidence, where harm is proven."""
        count, begun = len(losses), self.first
        hashed, answered = self.rng.random(count), self.rng.random(count) >= self.away
        answered &= ~np.isnan(estimates)
        replies = [
            AwaitedReply(
                begun + k,
                (str(begun + k), begun + k),
                begun + k,
                EVERY_MS * (begun + k),
                mine=hashed[k] < AUDITED,
                judge=NAME if hashed[k] < self.share else "",
            )
            for k in range(count)
        ]
        self.state = served(self.state, replies, audit=True)
        scores = {begun + k: float(estimates[k]) for k in range(count) if hashed[k] < self.share and answered[k]}
        self.state = estimated(self.state, NAME, scores)
        mine = np.flatnonzero(hashed < AUDITED).tolist()
        labels = {begun + k: Arrived(float(losses[k]), EVERY_MS * (begun + k) + 1_000) for k in mine}
        self.state = given(self.state, labels)
        self.audited += [begun + k for k in mine]
        self.first += count
        self.state, changes = turned(self.rules, self.state, EVERY_MS * self.first)
        return int(changes[0].last[0]) if changes else None


@cache
def learned(judge: Judge, share: float = 1.0, seed: int = 0) -> OrderedLabels:
    """The state after a healthy time, with the limit of a reference that is known well."""
    audit = JudgedAudit(OrderedLabels(), -1 - seed, share)
    while audit.state.limit is None:
        losses = (audit.rng.random(CHUNK) < 0.1).astype(float)
        audit.take(losses, judge(losses, audit.rng))
    return replace(audit.state, limit=LIMIT, test=Powered(LIMIT, ARL).start(), open=[], labels=0)


def delays(judge: Judge, state: OrderedLabels, seed: int, share: float = 1.0, away: float = 0.0) -> tuple[int, int]:
    """Labels until a rate of errors of 0.2 is found, in the same world: without the judge, and with it."""
    alone = replace(state, judge="", control=tuple(NO_CONTROL), per_step=PER_STEP)
    return _labels(judge, alone, seed, 0.0, away), _labels(judge, state, seed, share, away)


def _labels(judge: Judge, state: OrderedLabels, seed: int, share: float, away: float) -> int:
    audit, found = JudgedAudit(state, seed, share, away), None
    while found is None:
        losses = (audit.rng.random(CHUNK) < 0.2).astype(float)
        found = audit.take(losses, judge(losses, audit.rng))
    return sum(one <= found for one in audit.audited)
