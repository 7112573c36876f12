"""An audit whose replies a judge model scores as well, through the parts that ship: its first labels say what is usual
and how much the judge is worth, then the answers become worse."""

from __future__ import annotations

from functools import cache

import numpy as np
from msgspec.structs import replace

from monitor.detectors.interface import Floats
from monitor.detectors.powered import Powered
from monitor.detectors.risk import Risk
from monitor.selection.ordered import estimated, given, served, turned
from monitor.selection.ordered_labels import Arrived, AwaitedReply, OrderedLabels, OrderedRules
from tests.monitor.support.audited import ARL, AUDITED, LIMIT, Judge, moments

NAME = "judge/tone by gpt"
LEARNED = 400  # labels
CHUNK = 200  # replies
HORIZON = 40_000
EVERY_MS = 1_000
RULES = OrderedRules(arl=ARL, least=LEARNED, audit=True, wait_ms=20_000)


class JudgedAudit:
    """Replies in their order, audited and scored by hashes that know nothing of the answers. `share`: of the replies
    that the judge scores, the audited ones among them; `away`: of these, those of which it says nothing."""

    def __init__(self, state: OrderedLabels, seed: int, share: float = 1.0, away: float = 0.0) -> None:
        self.state, self.rng, self.share, self.away = state, np.random.default_rng((11, seed)), share, away
        self.first, self.losses = 1 + 1_000_000 * seed, list[float]()
        self.audited: list[int] = []

    def take(self, losses: Floats, estimates: Floats) -> int | None:
        """Serve these replies; return the last reply of the evidence, where harm is proven."""
        count, begun = len(losses), self.first
        hashed, answered = self.rng.random(count), self.rng.random(count) >= self.away
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
        self.losses += [float(losses[k]) for k in mine]
        self.first += count
        self.state, changes = turned(RULES, self.state, EVERY_MS * self.first)
        return int(changes[0].last[0]) if changes else None


@cache
def learned(judge: Judge, share: float = 1.0) -> OrderedLabels:
    """The state after a healthy time, with the limit of a reference that is known well."""
    audit = JudgedAudit(OrderedLabels(), 0, share)
    while audit.state.limit is None:
        losses = (audit.rng.random(CHUNK) < 0.1).astype(float)
        audit.take(losses, judge(losses, audit.rng))
    return replace(audit.state, limit=LIMIT, test=Powered(LIMIT, ARL).start(), open=[], labels=0)


def delays(judge: Judge, state: OrderedLabels, seed: int, share: float = 1.0, away: float = 0.0) -> tuple[int, int]:
    """Labels until a rate of errors of 0.2 is found: by labels alone, and with the judge, in the same world."""
    audit, found = JudgedAudit(state, 1 + seed, share, away), None
    while found is None and audit.first < 1 + 1_000_000 * (1 + seed) + HORIZON:
        losses = (audit.rng.random(CHUNK) < 0.2).astype(float)
        found = audit.take(losses, judge(losses, audit.rng))
    assert found is not None
    powered = sum(one <= found for one in audit.audited)
    alone, labels = Risk(LIMIT, ARL), list(audit.losses)
    while (harm := alone.update(alone.start(), labels, moments(len(labels)))[1]) is None:
        labels += (audit.rng.random(CHUNK) < 0.2).astype(float).tolist()
    return harm.step + 1, powered
