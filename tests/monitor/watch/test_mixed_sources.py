"""Labels, ratings, drawn labels, complaints and a judge model's scores of the same replies at once: what is found
depends on the log alone."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from monitor.explain.examples import RecentEvent
from monitor.findings import Finding, Window
from monitor.judge import AliasState, start, update
from monitor.rows import ScoreRows
from monitor.settings import ComplaintSettings, MonitorSettings
from monitor.signals.interface import About, Complained, Replies
from monitor.signals.labelled import complaints
from tests.monitor.support.world import World

JUDGE = "judge/tone by gpt"
SETTINGS = MonitorSettings(reference_events=300, complaints=ComplaintSettings(wait_s=60.0))


def mixed(rounds: int, harmed: int) -> World:
    """Every source labels its part of the replies of the round before; from `harmed` on answers are worse."""
    at, before = World(SETTINGS, 4), list[tuple[str, bool, bool]]()
    for k in range(rounds):
        audited = (at.rng.random(50) < 0.2).tolist()
        names = [["complete/crm"] * (i < 10) + ["audit", JUDGE] * each for i, each in enumerate(audited)]
        ids = at.serve(50, cohorts=[[*each, JUDGE] if i % 3 == 0 else each for i, each in enumerate(names)])
        right = (at.rng.random(50) < (0.9 if k < harmed else 0.4)).tolist()
        if before:
            of = {
                "audit": [i for i in range(50) if before[i][2]],
                "complete/crm": range(10),
                "random/app": range(8, 15),
            }
            for origin, mine in of.items():
                at.label([before[i][0] for i in mine], [before[i][1] for i in mine], origin=origin)
            mine = range(15, 25)
            drawn = [before[i][0] for i in mine]
            at.label(drawn, [before[i][1] for i in mine], origin="wanted/reviewer", weights=[0.5, 1.5] * 5)
            at.rate([id for id, _, _ in before[20:40]], [float(not good) for _, good, _ in before[20:40]])
            at.rate(
                [id for id, _, each in before if each], [float(not g) for _, g, each in before if each], origin="audit"
            )
            at.label([before[0][0]], [0.5], metric="rouge_l", origin="random/app")
            at.label([id for id, good, _ in before[40:] if not good] or [before[49][0]], 0.0, origin="volunteered/x")
            scored = [i for i in range(50) if i % 3 == 0 or before[i][2]]
            at.label(
                [before[i][0] for i in scored], [0.8 - 0.7 * before[i][1] for i in scored], origin=JUDGE, metric="tone"
            )
        before = list(zip(ids, right, audited, strict=True))
    return at


def kept(found: list[Finding]) -> list[Finding]:
    return [each for each in found if not isinstance(each, Window)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_cut_anywhere_taken_twice_and_through_json_it_finds_the_same(seed: int) -> None:
    whole, rng = mixed(60, 40), np.random.default_rng(seed)
    state, found = start("support"), list[Finding]()
    for batch in whole.batches:
        edges = sorted({0, len(batch.rows), *rng.integers(0, len(batch.rows), 2).tolist()})
        for low, high in pairwise(edges):
            rows, last = batch.rows.take(range(low, high)), high == len(batch.rows)
            end = batch.last_offset if last else rows.offsets[-1]
            part = replace(batch, rows=rows, first_offset=rows.offsets[0], last_offset=end, ends_turn=last)
            state, fresh = update(SETTINGS, state, part)
            state, again = update(SETTINGS, state, replace(part, ends_turn=False))
            assert kept(again) == []
            found += fresh
            state = msgspec.json.decode(msgspec.json.encode(state), type=AliasState)
    assert kept(found) == kept(whole.findings)
    assert {each.kind for each in whole.alarms()} >= {"quality", "judged_quality"}


def test_each_reply_is_one_row_of_complaints_however_few_come_at_once() -> None:
    """An alias whose replies come one by one, and are old enough all at once."""
    about = About("complaints", "v1")
    state, _ = complaints.update(SETTINGS, about, complaints.State(), Complained({0: 1}, 1))
    for k in [*range(1, 101), 1_000]:
        at_ms, ids = [1_000 * (k // 10)], [str(k)]
        rows = ScoreRows(
            offsets=[k], ids=ids, times_ms=at_ms, versions=["v1"], arms=[], clients=["app"], logged_ms=at_ms
        )
        served = Replies(rows, [RecentEvent(str(k), k, (), -1.0, ())], [k], np.empty((1, 0)), np.empty((1, 0)))
        state, _ = complaints.update(SETTINGS, about, state, served)
    assert state.learned == 100
