"""Who works on a request is decided by the log, and every reader decides alike."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.claims import attempt, owner, pending
from streams.events import RetrainReported, RetrainRequested
from streams.kinds import RetrainStatus


def claim(by: str, at: int, until: int, request: str = "r") -> RetrainReported:
    return RetrainReported(
        request_id=request, alias="support", status=RetrainStatus.CLAIMED, time_ms=at, by=by, lease_until_ms=until
    )


def ended(status: RetrainStatus, request: str = "r") -> RetrainReported:
    return RetrainReported(request_id=request, alias="support", status=status, time_ms=9, by="a")


def request(id: str = "r") -> RetrainRequested:
    return RetrainRequested(
        id=id, alias="support", champion="v", time_ms=0, alarm_id="x", since_ms=0, reason="labels prove harm"
    )


def test_the_first_claim_wins() -> None:
    assert owner([claim("a", 0, 100), claim("b", 1, 101)], "r", 50) == "a"


def test_a_lease_is_renewed_by_its_holder_only() -> None:
    log = [claim("a", 0, 100), claim("b", 50, 500), claim("a", 90, 190)]
    assert owner(log, "r", 150) == "a"


def test_who_stays_silent_loses_the_request() -> None:
    log = [claim("a", 0, 100), claim("b", 101, 201)]
    assert (owner(log, "r", 150), owner(log, "r", 300)) == ("b", None)


def test_a_late_renewal_does_not_take_the_request_back() -> None:
    assert owner([claim("a", 0, 100), claim("b", 101, 300), claim("a", 102, 302)], "r", 200) == "b"


def test_a_request_given_back_is_free_at_once() -> None:
    log = [claim("a", 0, 100), claim("a", 10, 10)]
    assert owner(log, "r", 11) is None
    assert pending([request()], log, "b", 11) == [request()]


def test_what_is_done_or_held_is_not_pending() -> None:
    requests = [request("done"), request("held"), request("mine"), request("free"), request("free")]
    log = [ended(RetrainStatus.REJECT, "done"), claim("b", 0, 100, "held"), claim("a", 0, 100, "mine")]
    assert [each.id for each in pending(requests, log, "a", 50)] == ["mine", "free"]


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.integers(1, 40)), max_size=20))
def test_there_is_never_more_than_one_owner(drawn: list[tuple[str, int, int]]) -> None:
    """Every trainer that thinks it may work is the owner in everybody's reading."""
    log, at = list[RetrainReported](), 0
    for by, wait, lease in drawn:
        at += wait
        log.append(claim(by, at, at + lease))
    workers = [me for me in "abc" if owner(log, "r", at) == me]
    assert len(workers) <= 1
    assert all(pending([request()], log, me, at) == [] for me in "abc" if workers and me not in workers)


def test_each_verdict_sought_before_for_the_same_harm_counts_as_an_attempt() -> None:
    asked = [request("r1"), request("r2"), request("r3"), request("r4")]
    results = [
        ended(RetrainStatus.INCONCLUSIVE, "r1"),
        ended(RetrainStatus.INCONCLUSIVE, "r1"),
        ended(RetrainStatus.FAILED, "r2"),
        ended(RetrainStatus.REJECT, "r3"),
        ended(RetrainStatus.REJECT, "another alarm's"),
    ]
    assert attempt(asked[-1], asked, results) == 3
    assert attempt(asked[0], asked[:1], []) == 1


MINUTES = 60_000
LEASE = 2 * MINUTES


def test_of_two_trainers_that_claim_at_once_the_log_lets_one_work() -> None:
    log = [claim("a", 0, LEASE), claim("b", 0, LEASE)]
    assert [pending([request()], log, me, 1) != [] for me in "ab"] == [True, False]


@pytest.mark.parametrize("ahead", [10 * MINUTES, -10 * MINUTES])
def test_clocks_ten_minutes_apart_hand_a_request_over_once_at_most_and_never_back(ahead: int) -> None:
    """A trainer whose clock is ahead takes a lease for ended, and the other sees that it has lost the request: the work
    goes on from the checkpoint. One whose clock is behind waits for longer. Results have one id, and count once."""
    log: list[RetrainReported] = []
    holders: list[str | None] = []
    for true_ms in range(0, 30 * MINUTES, LEASE // 3):  # each looks, and the holder renews, as a trainer does
        for me, clock in (("a", true_ms), ("b", true_ms + ahead)):
            if pending([request()], log, me, clock) and (me == "a" or log):
                log.append(claim(me, clock, clock + LEASE))
            holders.append(owner(log, "r", clock))
    seen = [each for each in holders if each is not None]
    changes = sum(one != other for one, other in pairwise(seen))
    assert changes <= 1
    assert seen[-1] == ("b" if ahead > 0 else "a")
