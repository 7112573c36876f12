"""Side-cars' attestations count by when they came, and none after its replica has gone."""

from __future__ import annotations

import pytest

from serving.routes.attestations import by_arrival, everywhere, fresh, present
from serving.settings import ControllerSettings
from tests.serving.support.side_cars import DIGEST, VERSION, altered, plain, signed

NOW_MS = 1_800_000_000_000


def test_clocks_that_are_ten_minutes_apart_make_no_replica_stale() -> None:
    replicas = [
        by_arrival(signed(f"r{off}", time_ms=NOW_MS + off * 600_000, sequence=off + 5), [None], NOW_MS)
        for off in (-1, 0, 1)
    ]
    found = fresh(ControllerSettings(), replicas, NOW_MS + 1_000)
    assert len(found) == 3
    assert everywhere(found, VERSION, DIGEST)


def test_a_side_car_that_fell_silent_counts_no_more_for_a_rollout() -> None:
    came = by_arrival(signed("r1"), [], NOW_MS)
    assert fresh(ControllerSettings(), [came], NOW_MS + 60_000) == []


def test_one_that_is_read_again_is_as_old_as_it_was() -> None:
    """Whoever puts it into the log once more."""
    first = by_arrival(signed("r1", sequence=7), [None], NOW_MS)
    again = by_arrival(signed("r1", sequence=7, time_ms=5), [None, first], NOW_MS + 60_000)
    later = by_arrival(signed("r1", sequence=8), [first], NOW_MS + 60_000)
    assert (again.time_ms, later.time_ms) == (NOW_MS, NOW_MS + 60_000)


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_controllers_attestation_is_as_old_as_the_log_has_it_whatever_its_clock_shows(off: int) -> None:
    """A rollout may run at another controller, of another host."""
    hers = plain("r1", time_ms=NOW_MS + off * 600_000)
    live, read = by_arrival(hers, [], NOW_MS), by_arrival(hers, [], NOW_MS, NOW_MS - 60_000)
    assert fresh(ControllerSettings(), [live, read], NOW_MS + 1_000) == [live]


def test_a_replica_that_has_gone_is_not_there() -> None:
    gone = altered(signed("r2"), gone=True)
    assert [each.replica for each in present([signed("r1"), gone])] == ["r1"]
