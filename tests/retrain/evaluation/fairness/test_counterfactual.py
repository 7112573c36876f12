"""A candidate that answers one group worse is found by asking again with the other group's term."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.card.findings import FindingsOf
from retrain.data.dataset import Dataset
from retrain.data.example import Example
from retrain.evaluation.comparison import compare
from retrain.evaluation.fairness.terms import GroupTerms
from retrain.evaluation.gate import judge
from retrain.settings import RetrainSettings
from streams.messages import Message
from streams.scoring.scorer import Scorer
from tests.retrain.support.engine import Engine
from tests.retrain.support.rows import row

EXACT = Scorer.of("exact_match", "support", Path("."))
WON = ("new-1", Path("/adapters/good")), ("old-1", Path("/adapters/bad"))
GENDER = GroupTerms("gender", {"women": ["she"], "men": ["he"]})


def asking(number: int, who: str) -> Example:
    text = row(number).text
    return row(number, "a", messages=[Message("user", f"{who} asks {text}")])


@pytest.mark.parametrize(("limit", "status"), [(0.0, "promote"), (0.2, "reject")])
async def test_it_is_reported_and_where_the_policy_says_so_it_blocks(limit: float, status: str) -> None:
    """All traffic is men's: no row and no group of the dataset shows that women would get wrong answers."""
    made, fresh, healthy = Engine(), [asking(n, "he") for n in range(60)], [asking(n, "he") for n in range(700, 900)]
    swaps = [asking(n, "she").text for n in (*range(60), *range(700, 900))]
    made.better = dict.fromkeys(swaps, "wrong")
    settings = RetrainSettings(fairness_file="terms.toml", max_swapped_gap=limit, swapped_rows=60)
    findings = FindingsOf(settings, [GENDER], [*fresh, *healthy])
    dataset = Dataset([], [], fresh, healthy, {})
    async with made.serving() as url:
        gate = await compare(settings, url, dataset, EXACT, *WON, then=[findings.asked])
    women, men = findings.found.fairness.swaps
    assert (women.name, women.finding, men.finding) == ("gender=women", "behind", "ahead")
    assert women.champion.value == 0.0
    assert women.rows == 60
    assert judge(gate).status == status
    assert ("named: gender=women failed" in judge(gate).reason) is (status == "reject")
    assert len(gate.target) + len(gate.regression) < len(fresh) + len(healthy)


async def test_an_even_candidate_passes_the_limit() -> None:
    made, fresh, healthy = Engine(), [asking(n, "he") for n in range(60)], [asking(n, "she") for n in range(700, 900)]
    settings = RetrainSettings(fairness_file="terms.toml", max_swapped_gap=0.2)
    findings = FindingsOf(settings, [GENDER], healthy)
    async with made.serving() as url:
        gate = await compare(settings, url, Dataset([], [], fresh, healthy, {}), EXACT, *WON, then=[findings.asked])
    assert [each.finding for each in findings.found.fairness.swaps] == ["even", "even"]
    assert judge(gate).status == "promote"
    assert {each.name: each.passed for each in judge(gate).checks if each.name.startswith("named")} == {
        "named: gender=men": True,
        "named: gender=women": True,
    }
