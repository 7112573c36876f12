from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.demo.page import picture
from deploy.demo.summary import summarise
from deploy.demo.timeline import Picture, accuracy_points, answer_shares, draw, evidence_lines, spread
from deploy.show.drawing import COLOURS
from deploy.show.intervals import wilson
from tests.deploy.support.demo_run import FIRST, SECOND, START, healthy, outcome, recovered, window

RUN = recovered()


def test_every_answer_is_in_one_point_and_no_point_crosses_a_cut() -> None:
    cut = RUN.marks["onset"]
    points = accuracy_points(RUN.outcomes, [cut])
    assert sum(point.count for point in points) == len(RUN.outcomes)
    assert sum(point.right for point in points) == sum(
        1.0 - (o.loss or 0.0) for o in RUN.outcomes if o.loss is not None
    )
    assert [point for point in points if point.start_ms < cut <= point.end_ms] == []
    assert all(one.end_ms <= other.start_ms for one, other in pairwise(points))


def test_points_of_few_answers_join() -> None:
    slow = [outcome(i, START + 60_000 * i) for i in range(100)]
    assert min(point.count for point in accuracy_points(slow)) >= 15


def test_a_single_answer_makes_a_point_and_none_makes_none() -> None:
    assert len(accuracy_points([outcome(0, START)])) == 1
    assert accuracy_points([]) == []


@given(st.lists(st.floats(0, 10), min_size=1, max_size=8).map(sorted))
def test_spread_places_keep_their_order_distance_and_bounds(places: list[float]) -> None:
    moved = spread(places, gap=1.0, low=0.0, high=10.0)
    assert all(other - one >= 1.0 - 1e-9 for one, other in pairwise(moved))
    assert moved[0] >= -1e-9
    assert moved[-1] <= 10.0


def test_each_version_has_its_own_line_of_evidence_within_bounds() -> None:
    windows = [window(START, FIRST, quality=9.0), window(START + 5_000, FIRST, quality=-9.0)]
    windows.append(window(START, SECOND, quality=0.5, drift=1.0))
    assert evidence_lines(windows, "quality") == [
        [(START + 5_000, 3.0), (START + 10_000, -6.0)],
        [(START + 5_000, 0.5)],
    ]


def test_shares_of_the_versions_add_up() -> None:
    start, end = RUN.outcomes[0].answered_ms, RUN.outcomes[-1].answered_ms
    shares = answer_shares(RUN.outcomes, start, (end - start) / 90)
    assert set(shares) == {FIRST, SECOND}
    assert {round(sum(column), 9) for column in zip(*shares.values(), strict=True)} <= {0.0, 1.0}


@pytest.mark.slow
def test_the_drawing_is_a_whole_svg_with_the_pages_colours_and_always_the_same() -> None:
    svg = picture(RUN, summarise(RUN))
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert "var(--version1, " in svg
    assert [stand_in for stand_in, _ in COLOURS.values() if stand_in in svg] == []
    assert picture(RUN, summarise(RUN)) == svg
    assert re.findall(r'(?:href|src)="(?!#)', svg) == []


@pytest.mark.slow
def test_a_run_without_answers_is_drawn_too() -> None:
    assert draw(Picture(outcomes=[], windows=[], champions=[], marks=[], origin_ms=START)).startswith("<svg")


@pytest.mark.slow
def test_a_run_where_nothing_happens_is_drawn() -> None:
    assert "<svg" in picture(healthy(), summarise(healthy()))


@pytest.mark.parametrize(("right", "count"), [(0, 0), (0, 5), (5, 5), (50, 100)])
def test_wilsons_interval_holds_the_share(right: int, count: int) -> None:
    low, high = wilson(right, count)
    assert 0 <= low <= (right / count if count else 0.5) <= high <= 1
