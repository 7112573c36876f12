"""One client is one client, whatever it sends: clustered outcomes neither fire the guard nor save a canary."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from msgspec.structs import replace

from serving.rollout.guard import (
    HARMS,
    WEIGHTS,
    ReplyOutcome,
    fewest,
    lacking,
    post_promotion_verdict,
    start_guard,
    start_post_promotion,
    update_guard,
    update_post_promotion,
    verdict,
)
from serving.rollout.senders import Senders
from serving.routes.routing import drawn
from streams.events import RouteWritten
from streams.kinds import Arm

ALPHA, DELTA = 0.05, 0.05
USERS, REPLIES = 200, 800


def traffic(rng: np.random.Generator, bad: int, burst: int) -> Iterator[tuple[int, bool]]:
    """User and error of each reply: 2 % errors of everybody's, and some clients that fail `burst` times in a row,
    whatever version answers them."""
    starts = {int(at): USERS + k for k, at in enumerate(rng.choice(REPLIES, bad, replace=False))}
    for i in range(REPLIES):
        yield int(rng.integers(USERS)), bool(rng.random() < 0.02)
        if i in starts:
            yield from itertools.repeat((starts[i], True), burst)


def fires(rng: np.random.Generator, bad: int, burst: int, *, by_sender: bool) -> bool:
    """Whether the guard fires on a canary that is no worse. Not by sender: each reply counts as the first of its
    user, as it did before there were senders."""
    route = RouteWritten(alias="a", generation=1, champion="o", adapters={}, time_ms=0, by="t", canary="n", weight=0.5)
    route, senders, guard = replace(route, salt=rng.bytes(8).hex()), Senders(), start_guard(DELTA, ALPHA)
    seen: list[ReplyOutcome] = []
    for number, (user, error) in enumerate(traffic(rng, bad, burst)):
        nth, canary = senders.reply(str(number), user + 1, user + 1), drawn(route, str(user)) is Arm.CANARY
        seen.append(ReplyOutcome(canary, error=error, nth=nth if by_sender else 1))
        if number % 20 == 19:
            guard, seen = update_guard(guard, seen), []
            if verdict(guard).state == "fired":
                return True
    return False


def rate(bad: int, burst: int, runs: int, *, by_sender: bool) -> float:
    return float(np.mean([fires(np.random.default_rng(seed), bad, burst, by_sender=by_sender) for seed in range(runs)]))


@pytest.mark.slow
@pytest.mark.parametrize(("bad", "burst"), [(0, 0), (1, 50), (4, 50), (40, 10)])
def test_clients_that_fail_in_a_row_do_not_fire_the_guard(bad: int, burst: int) -> None:
    assert rate(bad, burst, 60, by_sender=True) <= ALPHA


@pytest.mark.slow
def test_by_replies_they_would() -> None:
    assert rate(1, 50, 60, by_sender=False) >= 0.3


def test_one_client_cannot_save_a_harmful_canary() -> None:
    """A thousand good replies of one client in the canary's arm; it fails with all others."""
    senders, guard = Senders(), start_guard(DELTA, ALPHA)
    for number in range(1_000):
        nth = senders.reply(f"good {number}", 1, 1)
        guard = update_guard(guard, [ReplyOutcome(True, error=False, nth=nth)])
    for number in range(2, 32):
        nth = senders.reply(str(number), number, number)
        guard = update_guard(guard, [ReplyOutcome(number % 2 == 0, error=number % 2 == 0, nth=nth)])
    assert verdict(guard).state == "fired"


def test_one_client_cannot_roll_a_new_champion_back() -> None:
    guard, senders = start_guard(DELTA, ALPHA), Senders()
    for _ in range(100):
        guard = update_guard(guard, [ReplyOutcome(False, error=False, nth=nth) for nth in WEIGHTS])
    watch = start_post_promotion(guard)
    for number in range(200):
        nth = senders.reply(str(number), 7, 7)
        watch = update_post_promotion(watch, [ReplyOutcome(True, error=True, nth=nth)])
    assert post_promotion_verdict(watch).state == "ok"
    for _ in range(20):
        watch = update_post_promotion(watch, [ReplyOutcome(True, error=True)])
    assert post_promotion_verdict(watch).state == "fired"


def test_one_client_is_not_enough_for_a_promotion() -> None:
    """A thousand replies to one in each arm show nothing of a canary that fails with others."""
    senders, guard = Senders(), start_guard(DELTA, ALPHA)
    for number in range(1_000):
        nth = senders.reply(str(number), 1 + number % 2, 1)
        guard = update_guard(guard, [ReplyOutcome(number % 2 == 0, error=False, nth=nth)])
    assert lacking(guard, 40) == "1 conversations or users compared with the champion's, too few"


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.05, 0.2])
def test_a_canary_that_answers_nobody_is_in_doubt_before_it_may_be_promoted(alpha: float) -> None:
    guard = start_guard(DELTA, alpha)
    for _ in range(fewest(DELTA, alpha)):
        guard = update_guard(guard, [ReplyOutcome(False, error=False), ReplyOutcome(True, error=True)])
    assert lacking(guard, 1) in ("the guard in doubt", "")
    assert verdict(guard).doubtful


def test_what_the_champion_answers_for_the_canary_is_none_of_its_replies() -> None:
    guard, stood_in = start_guard(DELTA, ALPHA), ReplyOutcome(True, error=False, answered=False)
    for _ in range(100):
        guard = update_guard(guard, [ReplyOutcome(False, error=False), stood_in])
    assert (guard.replies, guard.drawn) == (0, 100)
    assert lacking(guard, 1) == "too few"
    guard = update_guard(guard, [ReplyOutcome(True, error=False)] * 100)
    assert lacking(guard, 40) == "of 200 requests drawn for it, too few"
    guard = update_guard(guard, [ReplyOutcome(True, error=False)] * 800)
    assert lacking(guard, 40) == ""


def test_errors_in_the_canarys_place_are_the_canarys() -> None:
    guard = start_guard(DELTA, ALPHA)
    for _ in range(30):
        failed = ReplyOutcome(True, error=True, answered=False)
        guard = update_guard(guard, [ReplyOutcome(False, error=False), failed])
    assert verdict(guard).state == "fired"


def test_the_weights_are_those_of_a_mean() -> None:
    assert sum(WEIGHTS.values()) == 1.0
    nothing = start_guard(DELTA, ALPHA)
    assert [verdict(nothing).numbers[f"{harm}_log10_e"] for harm in HARMS] == [0.0] * 3


def test_labels_of_one_person_in_one_turn_are_one() -> None:
    senders = Senders()
    for id, unit in (("a", 1), ("b", 2), ("c", 3), ("d", 0), ("e", 0)):
        senders.reply(id, unit, 9 if unit else 0)
    given = [senders.label(id, "app", 5_000) for id in ("a", "b", "d", "e", "d")]
    assert given == [1, None, 1, 1, None], "who is not known is not one"
    assert senders.label("c", "app", 6_000) == 1


def test_labels_of_replies_unknown_here_are_one_a_minute() -> None:
    senders = Senders()
    assert [senders.label(f"x{k}", "app", 60_000 + k) for k in range(3)] == [1, 2, 3]
    assert senders.label("y", "other", 60_000) == senders.label("z", "app", 120_000) == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.rollout.senders.KEPT", 10)
    senders = Senders()
    for number in range(100):
        senders.reply(str(number), number + 1, number + 1)
        senders.label(str(number), "app", number)
    assert all(len(each) <= 10 for each in (senders._replies, senders._counts, senders._labelled))
