from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest

from deploy.backtest import table
from deploy.backtest.harms import HarmPeriod, Labels
from deploy.backtest.measures import measure
from deploy.backtest.observed import Facts
from deploy.backtest.outcome import PolicyOutcome
from deploy.backtest.picture import FEWEST_LABELS, draw, points, scale, worst
from deploy.backtest.report import BacktestReport, PolicyResult, verdict
from tests.deploy.backtest.test_measures import FACTS, HARM, alarm, asked

pytestmark = pytest.mark.slow

QUICK = PolicyOutcome(alarms=[alarm("quality", 101_000, 110_000)], retrainings=[asked(101_000, 139_000)])


def report(
    harms: list[HarmPeriod], *outcomes: PolicyOutcome, facts: Facts = FACTS, labels: int = 150
) -> BacktestReport:
    results = [
        PolicyResult(name=f"policy {i}", outcome=each, measures=measure(each, facts, harms, None))
        for i, each in enumerate(outcomes)
    ]
    return BacktestReport(
        alias="support",
        lake="lake",
        ledger=None,
        first_ms=0,
        last_ms=300_000,
        replies=300,
        labels=labels,
        champions=facts.champions,
        harms=harms,
        retraining_minutes=None,
        results=results,
        fidelity=None,
        notes=[],
    )


def test_a_graded_metric_is_named_in_the_verdict_and_in_the_picture() -> None:
    summaries = msgspec.structs.replace(report([HARM], QUICK), metric="ROUGE-L")
    assert verdict(summaries).startswith("Loss by ROUGE-L served until a retraining was asked for: 20 with policy 0")
    assert draw(summaries, FACTS) != draw(report([HARM], QUICK), FACTS)
    assert table.header(summaries)[1].endswith("ROUGE-L 0.50, 0.95 otherwise (50 labels)")


def test_every_label_is_in_one_point_and_none_crosses_a_cut() -> None:
    labels = Labels(1_000 * np.arange(1_000), (np.arange(1_000) % 7 == 0).astype(np.float64))
    found = points(labels, [333_000])
    assert sum(point.count for point in found) == 1_000
    assert sum(point.right for point in found) == 1_000 - labels.losses.sum()
    assert [point for point in found if point.start_ms < 333_000 <= point.end_ms] == []
    assert all(one.end_ms < other.start_ms for one, other in pairwise(found))
    assert min(point.count for point in found) >= FEWEST_LABELS


@pytest.mark.parametrize("count", [0, 1, 9, 25])
def test_few_labels_make_few_points(count: int) -> None:
    labels = Labels(np.arange(count), np.zeros(count))
    assert sum(point.count for point in points(labels, [3])) == count


def test_at_most_three_harms_are_shown_the_worst_in_their_order() -> None:
    harms = [msgspec.structs.replace(HARM, onset_ms=i, labels=labels) for i, labels in enumerate((10, 50, 5, 40, 30))]
    assert worst(harms) == [1, 3, 4]


@pytest.mark.parametrize(
    "drawn",
    [
        report([HARM], QUICK, PolicyOutcome()),
        report([HARM, msgspec.structs.replace(HARM, onset_ms=250_000, end_ms=280_000)], QUICK, PolicyOutcome(), QUICK),
        report([], QUICK),
        report([], PolicyOutcome(), facts=Facts({}, {}, {}), labels=0),
    ],
    ids=["one harm", "two harms", "false page", "nothing"],
)
def test_any_comparison_is_drawn_and_always_the_same(drawn: BacktestReport) -> None:
    facts = FACTS if drawn.labels else Facts({}, {}, {})
    assert draw(drawn, facts).startswith("<svg")
    assert draw(drawn, facts) == draw(drawn, facts)


def test_each_of_several_harms_has_its_number() -> None:
    later = msgspec.structs.replace(HARM, onset_ms=250_000, end_ms=280_000)
    drawn = draw(report([HARM, later], QUICK), FACTS)
    assert "<!-- Harm 1: served until a retraining was asked for -->" in drawn
    assert "<!-- Harm 2 -->" in drawn


def test_a_history_of_one_moment_has_a_scale_too() -> None:
    assert scale(5, 0).unit == "seconds"


def test_the_sentence_names_what_matters() -> None:
    assert verdict(report([HARM], QUICK, PolicyOutcome())) == (
        "Wrong answers served until a retraining was asked for: 20 with policy 0, 50 with policy 1. "
        "Never asked: policy 1."
    )
    assert verdict(report([], QUICK)) == "The labels show no harm. False pages: policy 0: 1."
    assert verdict(report([], QUICK, labels=0)).startswith("Nothing here is labelled")
