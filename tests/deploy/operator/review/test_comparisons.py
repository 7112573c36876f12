"""Two answers without a name, and a preference that has them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from deploy.operator.review import comparisons
from streams.kinds import Arm
from streams.lake.lake import Lake
from streams.topics import INFERENCE
from tests.streams.support.lakes import put
from tests.streams.support.traffic import served

ALIAS, OLD, NEW = "support", "support-0123456789ab", "support-bbbbbbbbbbbb"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    replies = [msgspec.structs.replace(served(ALIAS, i), output=f"old {i}") for i in range(40)]
    shadows = [
        msgspec.structs.replace(each, id=f"s-{each.id}", mirrors=each.id, arm=Arm.SHADOW, version=NEW, output=text)
        for i, each in enumerate(replies)
        for text in ["old 0" if i == 0 else f"new {i}"]
    ]
    return put(tmp_path / "lake", INFERENCE, [*replies, *shadows])


def test_pairs_are_blind_in_an_order_of_chance_that_stays(lake: Lake) -> None:
    shown = list(comparisons.pairs(lake, ALIAS, 0, "ann", []))
    assert len(shown) == 39, "equal answers need no comparison"
    first = sum(each.a.startswith("new") for each in shown)
    assert 10 <= first <= 29
    assert shown == list(comparisons.pairs(lake, ALIAS, 0, "ann", []))
    assert [each.a for each in shown] != [each.a for each in comparisons.pairs(lake, ALIAS, 0, "bob", [])]
    assert OLD not in str(shown)
    assert NEW not in str(shown)
    assert len(list(comparisons.pairs(lake, ALIAS, 0, "ann", [shown[0].id]))) == 38


def test_a_preference_finds_the_versions_whichever_stood_first(lake: Lake) -> None:
    for pair in comparisons.pairs(lake, ALIAS, 0, "ann", []):
        choice = "a" if pair.a.startswith("new") else "b"
        found = comparisons.preference(lake, ALIAS, pair.id, choice, "ann")  # type: ignore[arg-type]
        assert (found.better, found.worse) == (NEW, OLD)
    with pytest.raises(LookupError, match="pair is 'strange'"):
        comparisons.preference(lake, ALIAS, "strange", "a", "ann")


def test_a_preference_is_recorded_once_for_each_person(lake: Lake) -> None:
    pair = next(comparisons.pairs(lake, ALIAS, 0, "ann", []))
    found = comparisons.preference(lake, ALIAS, pair.id, "tie", "ann")
    one, again = (comparisons.recorded(ALIAS, found, "ann", now) for now in (1, 2))
    assert one.id == again.id != comparisons.recorded(ALIAS, found, "bob", 1).id
    assert comparisons.preferences([one], ALIAS) == [("ann", found)]
    assert comparisons.preferences([one], "other") == []
    (tally,) = comparisons.tallies([found, msgspec.structs.replace(found, better=NEW, worse=OLD, tie=False)])
    assert (tally.versions, tally.wins, tally.ties) == ((OLD, NEW), (0, 1), 1)
