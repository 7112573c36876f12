"""The guard notices harm and leaves the harmless alone, however often one looks."""

from __future__ import annotations

import random

import msgspec
import pytest

from serving.rollout.guard import (
    Guard,
    PostPromotionGuard,
    ReplyOutcome,
    post_promotion_verdict,
    start_guard,
    start_post_promotion,
    update_guard,
    update_post_promotion,
    verdict,
)

pytestmark = pytest.mark.slow

HARMFUL = {
    "errors": {"error": True},
    "slow": {"error": False, "slow": True},
    "wrong": {"wrong": True},
}
FINE = {"errors": {"error": False}, "slow": {"error": False, "slow": False}, "wrong": {"wrong": False}}


def fires_after(
    guard: Guard, harm: str, canary_rate: float, champion_rate: float, rng: random.Random, most: int
) -> int | None:
    for i in range(most):
        candidate = rng.random() < 0.5
        bad = rng.random() < (canary_rate if candidate else champion_rate)
        guard = update_guard(guard, [ReplyOutcome(candidate, **(HARMFUL if bad else FINE)[harm])])
        if verdict(guard).state == "fired":
            return i
    return None


@pytest.mark.parametrize("harm", ["errors", "slow", "wrong"])
def test_a_harmful_canary_is_noticed_soon(harm: str) -> None:
    at = fires_after(start_guard(0.05, 0.01), harm, 0.8, 0.02, random.Random(1), 200)
    assert at is not None
    assert at < 60


def test_a_canary_as_good_as_the_champion_is_left_alone() -> None:
    rng = random.Random(2)
    fired = [fires_after(start_guard(0.05, 0.05), "wrong", 0.3, 0.3, rng, 150) for _ in range(60)]
    assert sum(at is not None for at in fired) <= 3


ALL = ("errors", "slow", "wrong")


def runs(rates: tuple[float, float], alpha: float, count: int, outcomes: int, seed: int) -> list[int | None]:
    """After how many canary replies each run fired; every harm has the same rates (champion's, canary's)."""
    rng, found = random.Random(seed), list[int | None]()
    for _ in range(count):
        guard, at = start_guard(0.05, alpha), None
        for _ in range(outcomes // 50):
            sides = [rng.random() < 0.5 for _ in range(50)]
            seen = [(ours, [rng.random() < rates[ours] for _ in ALL]) for ours in sides]
            guard = update_guard(guard, [ReplyOutcome(ours, error=e, slow=s, wrong=w) for ours, (e, s, w) in seen])
            if verdict(guard).state == "fired":
                at = guard.replies
                break
        found.append(at)
    return found


def test_however_often_one_looks_false_alarms_stay_below_alpha() -> None:
    """The hardest harmless canary: worse by exactly the tolerance, in everything. 300 runs of 2,000 outcomes at alpha
    0.05 and 0.2 fired 2.7 % (rates 50 and 55 %), 0.7 % and 4.7 % (errors alone, 2 and 7 %) of the time."""
    fired = runs((0.5, 0.55), alpha=0.2, count=40, outcomes=2_000, seed=5)
    assert sum(at is not None for at in fired) <= 0.2 * 40
    assert any(at is not None for at in runs((0.5, 0.55), alpha=0.9, count=10, outcomes=500, seed=5)), "it can fire"


def test_twenty_points_of_errors_are_noticed_within_about_a_hundred_replies() -> None:
    """Measured at alpha 0.01, 200 runs: median 97 canary replies against a champion without errors (90 % within 137),
    125 against one with 2 %."""
    rng, found = random.Random(6), []
    for _ in range(30):
        guard = start_guard(0.05, 0.01)
        while verdict(guard).state == "ok" and guard.replies < 400:
            sides = [rng.random() < 0.5 for _ in range(10)]
            guard = update_guard(
                guard, [ReplyOutcome(ours, error=ours and rng.random() < 0.2, slow=False) for ours in sides]
            )
        found.append(guard.replies)
    assert sorted(found)[15] <= 120
    assert max(found) <= 250


def test_a_better_canary_and_silence_are_fine() -> None:
    assert verdict(start_guard(0.05, 0.01)).state == "ok"
    assert fires_after(start_guard(0.05, 0.01), "wrong", 0.0, 0.9, random.Random(3), 200) is None


def test_replies_are_counted_and_labels_are_not() -> None:
    outcomes = [
        ReplyOutcome(True, error=False, slow=False),
        ReplyOutcome(True, wrong=True),
        ReplyOutcome(False, error=True),
    ]
    guard = update_guard(start_guard(0.05, 0.01), outcomes)
    assert guard.replies == 1
    numbers = verdict(guard).numbers
    assert (numbers["errors_champion"], numbers["wrong_candidate"]) == (1.0, 1.0)


def test_the_guard_goes_through_json_and_goes_on_the_same() -> None:
    guard = update_guard(start_guard(0.05, 0.01), [ReplyOutcome(i % 2 == 0, error=i % 3 == 0) for i in range(20)])
    again = msgspec.json.decode(msgspec.json.encode(guard), type=Guard)
    more = [ReplyOutcome(True, error=True)] * 5 + [ReplyOutcome(False, error=False)] * 5
    assert verdict(update_guard(again, more)) == verdict(update_guard(guard, more))


def watched(champion_bad: int, champion_count: int) -> PostPromotionGuard:
    outcomes = [ReplyOutcome(False, wrong=i < champion_bad) for i in range(champion_count)]
    return start_post_promotion(update_guard(start_guard(0.05, 0.01), outcomes))


def test_a_new_champion_that_turns_bad_is_noticed() -> None:
    watch = update_post_promotion(watched(2, 100), [ReplyOutcome(True, wrong=True)] * 20)
    found = post_promotion_verdict(watch)
    assert found.state == "fired"
    assert found.reason.startswith("wrong")


def test_a_new_champion_as_bad_as_the_old_one_is_kept() -> None:
    rng = random.Random(4)
    watch = watched(50, 100)
    for _ in range(300):
        watch = update_post_promotion(
            watch, [ReplyOutcome(True, wrong=rng.random() < 0.5), ReplyOutcome(False, wrong=True)]
        )
        assert post_promotion_verdict(watch).state == "ok"


def test_losses_between_0_and_1_are_compared_as_they_are() -> None:
    """A canary whose ROUGE-L is lower by 0.3, all of it above a half: cut there, both would be right."""
    rng = random.Random(7)

    def seen(shift: float) -> list[ReplyOutcome]:
        sides = [rng.random() < 0.5 for _ in range(300)]
        return [ReplyOutcome(ours, wrong=round(rng.uniform(0.0, 0.15) + shift * ours, 4)) for ours in sides]

    assert verdict(update_guard(start_guard(0.05, 0.01), seen(0.0))).state == "ok"
    guard = update_guard(start_guard(0.05, 0.01), seen(0.3))
    assert verdict(guard).state == "fired"
    assert verdict(guard).numbers["wrong_champion"] == pytest.approx(0.075, abs=0.02)
    watch = start_post_promotion(update_guard(start_guard(0.05, 0.01), seen(0.0)))
    assert 0.075 < watch.baselines["wrong"] < 0.16
    worse = [ReplyOutcome(True, wrong=0.4)] * 200
    assert post_promotion_verdict(update_post_promotion(watch, worse)).state == "fired"
    assert post_promotion_verdict(update_post_promotion(watch, [ReplyOutcome(True, wrong=0.08)] * 200)).state == "ok"


def test_what_was_never_counted_of_the_old_champion_is_not_watched() -> None:
    watch = update_post_promotion(watched(1, 10), [ReplyOutcome(True, error=True)] * 50)
    assert post_promotion_verdict(watch).state == "ok"
    assert set(watch.baselines) == {"wrong"}
