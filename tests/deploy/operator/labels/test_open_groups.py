"""Replies of groups that a verdict does not tell about want a label first."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from deploy.operator.labels import open_groups
from deploy.operator.labels.open_groups import MOST, of_verdict
from streams.events import Json, RetrainReported
from streams.kinds import RetrainStatus
from streams.lake.lake import Lake
from streams.topics import INFERENCE
from tests.streams.support.lakes import put
from tests.streams.support.traffic import served

OPEN: list[dict[str, Json]] = [
    {"name": "target", "passed": None},
    {"name": "language=de", "passed": None},
    {"name": "language=en", "passed": True},
    {"name": "language: other", "passed": None, "holds_back": False},
]


def report(time_ms: int, status: RetrainStatus = RetrainStatus.INCONCLUSIVE, alias: str = "support") -> RetrainReported:
    return RetrainReported(request_id=f"r{time_ms}", alias=alias, status=status, time_ms=time_ms, by="t", checks=OPEN)


def test_only_groups_that_hold_the_newest_candidate_back_are_open() -> None:
    assert of_verdict([report(5), report(3)], "support") == ([("language", "de")], 5)
    under_way = [report(9, status) for status in (RetrainStatus.CLAIMED, RetrainStatus.TRAINING)]
    assert of_verdict([report(5), *under_way, report(8, alias="other")], "support") == ([("language", "de")], 5)


@pytest.mark.parametrize("status", [RetrainStatus.PROMOTE, RetrainStatus.REJECT, RetrainStatus.FAILED])
def test_a_verdict_that_is_settled_asks_for_nothing(status: RetrainStatus) -> None:
    assert of_verdict([report(5), report(6, status)], "support") == ([], 0)
    assert of_verdict([], "support") == ([], 0)


def test_the_group_s_own_replies_are_drawn_whatever_their_answer_is(tmp_path: Path) -> None:
    made = [replace(served("support", i), tags={"language": "de" if i % 3 == 0 else "en"}) for i in range(200)]
    put(tmp_path / "lake", INFERENCE, made)
    lake = Lake(str(tmp_path / "lake"))
    found = open_groups.replies(lake, "support", [("language", "de")], made[-1].time_ms)
    assert len(found) == MOST
    assert found.keys() < {each.id for each in made if each.tags["language"] == "de"}
    assert set(found.values()) == {"the gate does not tell about language=de"}
    again = open_groups.replies(lake, "support", [("language", "de")], made[-1].time_ms)
    assert again == found
