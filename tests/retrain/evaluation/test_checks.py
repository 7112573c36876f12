"""What else a candidate must show: length and latency of its answers, a business metric; and how far a verdict is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.detectors.paired import STAKES, counted, e_value, e_value_against
from retrain.data.dataset import Dataset
from retrain.evaluation.checks import Question, checked, further
from retrain.evaluation.comparison import compare
from retrain.evaluation.gate import BUSINESS, LENGTH, judge, waits
from retrain.evaluation.outlook import outlook
from retrain.settings import RetrainSettings
from streams.scoring.scorer import Scorer
from tests.retrain.evaluation.test_gate import BETTER, SAME, asked
from tests.retrain.support.engine import Engine
from tests.retrain.support.rows import rows

EXACT = Scorer.of("exact_match", "support", Path("."))
SIDES = ("new-1", Path("/adapters/good")), ("old-1", Path("/adapters/bad"))


@pytest.mark.parametrize(
    ("lengths", "limit", "status"),
    [
        ([(12.0, 10.0)] * 60, 1.5, "promote"),
        ([(20.0, 10.0)] * 60, 1.5, "reject"),
        ([(15.0, 10.0)] * 60, 1.5, "inconclusive"),
        ([(20.0, 10.0)] * 60, 0.0, "promote"),
        ([(12.0, 10.0)] * 3, 1.5, "inconclusive"),
    ],
)
def test_answers_that_are_longer_than_allowed_end_a_candidate(
    lengths: list[tuple[float, float]], limit: float, status: str
) -> None:
    gate = asked(lengths=lengths, max_length_ratio=limit)
    verdict = judge(gate)
    assert verdict.status == status
    ratio = lengths[0][0] / 10
    words = f"{LENGTH} {ratio:.2f} times the champion's, not limited" if not limit else f"{ratio:.2f} times"
    assert (status == "promote" and limit) or words in verdict.reason
    assert waits(gate) is (status == "inconclusive")


def test_latency_is_limited_where_that_is_set() -> None:
    slow = [(300.0, 100.0)] * 60
    assert judge(asked(latencies=slow)).status == "promote"
    assert "latency failed: 3.00 times" in judge(asked(latencies=slow, max_latency_ratio=2.0)).reason


def test_a_business_metric_must_not_be_worse_and_holds_back_while_nothing_is_known() -> None:
    for scores, status in (([(1.0, 1.0)] * 99, "promote"), ([(0.5, 1.0)] * 99, "reject"), ([], "inconclusive")):
        verdict = judge(asked(business=scores, business_metric="house.metrics:resolved", business_margin=0.1))
        assert verdict.status == status
        assert verdict.checks[2].name == f"{BUSINESS}: house.metrics:resolved"


def test_margins_are_said_in_the_metric_s_own_unit() -> None:
    graded = [(0.5, 0.4)] * 60
    assert "ROUGE-L +0.1 on 60 rows, needs more than ROUGE-L +0.05" in judge(asked(graded, metric="rouge_l")).reason
    assert "+10.0 points on 60 rows, needs more than +5.0 points" in judge(asked(graded, metric="exact_match")).reason


async def test_lengths_and_the_business_metric_are_measured_on_both_sides() -> None:
    made = Engine()
    dataset = Dataset([], [], rows(60, "a"), rows(200, "a", first=100), {})
    made.spoken = {each.text: "a" for each in dataset.regression}
    settings = RetrainSettings(business_metric="token_f1", business_margin=0.1)
    async with made.serving() as url:
        gate = await compare(settings, url, dataset, EXACT, *SIDES)
        made.better = {each.text: "a b c" for each in dataset.regression}
        longer = await compare(RetrainSettings(margin=0.9), url, dataset, Scorer.of("token_f1", "s", Path()), *SIDES)
    assert gate.metric == "exact_match"
    assert set(gate.lengths) == {(1.0, 1.0)}
    assert len(gate.lengths) == len(gate.latencies) == len(gate.regression)
    assert all(ms > 0 for pair in gate.latencies for ms in pair)
    assert gate.business[0] == (1.0, 0.0)
    assert len(gate.business) == len(gate.target) + len(gate.regression)
    assert judge(gate).status == "promote"
    assert f"{LENGTH} failed" in judge(longer).reason


async def test_neither_side_is_always_asked_first() -> None:
    """The second one meets a warmer engine, and would be the faster one."""
    made = Engine()
    dataset = Dataset([], [], rows(200, "a"), [], {})
    made.spoken = {each.text: "a" for each in dataset.validation}
    async with made.serving() as url:
        await compare(RetrainSettings(), url, dataset, EXACT, *SIDES)
    first = [body["model"] for body in made.asked[::40]]
    assert len(first) == 10
    assert 2 <= sum("old-1" in each for each in first) <= 8


async def test_groups_are_of_both_parts() -> None:
    made = Engine()
    fresh, healthy = rows(40, "a", tags={"language": "de"}), rows(200, "a", first=100, tags={"language": "fr"})
    async with made.serving() as url:
        gate = await compare(RetrainSettings(), url, Dataset([], [], fresh, healthy, {}), EXACT, *SIDES)
    assert set(gate.slices) == {"language=de", "language=fr"}
    assert len(gate.slices["language=fr"]) == len(gate.regression)


def test_an_undecided_check_says_how_many_labels_more_it_takes() -> None:
    few = checked(Question("target", BETTER[:4] + SAME[:12], 0.02, "better"), 0.05)
    assert further(few) == "; about 14 more labels would settle it (7 to 240)"
    assert few.more_low <= few.more <= few.more_high
    even = checked(Question("target", [(1.0, 0.0), (0.0, 1.0)] * 20, 0.0, "better"), 0.05)
    assert even.more_high == 0
    assert further(checked(Question("target", [], 0.0, "better"), 0.05)) == ""
    assert further(checked(Question("target", BETTER, 0.0, "better"), 0.05)) == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gain", "discordant", "needed", "seen"), [(0.1, 0.2, 0.0, 60), (0.2, 0.3, 0.02, 20), (0.0, 0.05, -0.1, 40)]
)
def test_the_range_of_labels_holds_in_three_of_four_cases(
    gain: float, discordant: float, needed: float, seen: int
) -> None:
    """Of comparisons that are undecided after so many pairs; more pairs than the range has are rare, and half of the
    comparisons take about what is said."""
    rng, alpha = np.random.default_rng(7), 0.025
    shares = ((discordant + gain) / 2, (discordant - gain) / 2, 1 - discordant)
    within, above, ratios = [], [], []
    for _ in range(200):
        stream = rng.choice((1.0, -1.0, 0.0), size=6_000, p=shares)
        state = counted(stream[:seen])
        if max(e_value(state, needed), e_value_against(state, needed)) >= 1 / alpha:
            continue
        ahead, took = outlook(state.times, needed, alpha), _settled(stream, needed, alpha) - seen
        over = 0 < ahead.high < took
        above.append(over)
        within.append(ahead.low <= took and not over)
        ratios.append(took / ahead.expected if ahead.expected else 1.0)
    assert np.mean(within) >= 0.7
    assert np.mean(above) <= 0.1
    assert 0.6 <= np.median(ratios) <= 1.4


def _settled(stream: NDArray[np.float64], needed: float, alpha: float) -> int:
    """The first number of pairs at which either claim is proven; looked at after each."""
    stakes = np.array(STAKES)[:, None]
    wealths = [
        np.cumsum(np.log1p(stakes * sign * (stream - needed) / (1 + sign * needed)), axis=1) for sign in (1.0, -1.0)
    ]
    best = np.max([np.logaddexp.reduce(each, axis=0) - math.log(len(STAKES)) for each in wealths], axis=0)
    return int(np.argmax(best >= -math.log(alpha))) + 1
