"""Harm proven by losses between 0 and 1: as seldom by chance as is asked, and soon."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from monitor.detectors import mean_bound, risk
from monitor.detectors.risk import LEAST_GRADED_ROOM, Risk, leaves_room
from monitor.explain.examples import LabelledEvent
from monitor.reference.dependence import known_of
from monitor.settings import MonitorSettings
from monitor.signals import quality
from monitor.signals.interface import About, GivenLabel, LabelStep
from tests.monitor.support.graded import graded

ROUGE = (0.48, 0.15)  # mean and standard deviation of a summary's loss
ARL = 10_000


def losses_until(detector: Risk, mean: float, sd: float, seed: int, horizon: int) -> int:
    values = graded(np.random.default_rng(seed), horizon, mean, sd)
    _, harm = detector.update(detector.start(), values, [("", 0)] * horizon)
    return harm.step + 1 if harm else horizon


def ours(reference: list[float]) -> Risk:
    """As the quality signal makes it."""
    bound = mean_bound.upper_bound(mean_bound.levels(reference), len(reference), 0.9)
    return Risk(bound + 0.03, ARL, graded=True)


def binary(reference: list[float]) -> Risk:
    """The bound and the stakes of right and wrong."""
    return Risk(risk.upper_bound(math.ceil(sum(reference)), len(reference), 0.9) + 0.03, ARL)


def medians(mean: float, sd: float, harm: float, labels: int = 200, runs: int = 60) -> tuple[float, float]:
    """Labels until harm is found, and until bets for right and wrong find it."""
    found: list[list[int]] = [[], []]
    for seed in range(runs):
        reference = graded(np.random.default_rng(1_000 + seed), labels, mean, sd)
        for each, detector in zip(found, (ours(reference), binary(reference)), strict=True):
            each.append(losses_until(detector, harm, sd, seed, 2_000))
    return float(np.median(found[0])), float(np.median(found[1]))


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 0.85, 0.99])
@pytest.mark.parametrize("inflation", [1.0, 3.0])
def test_no_bet_can_ruin_and_each_is_fair_at_the_limit(rate: float, inflation: float) -> None:
    """A factor is a straight line in the loss: where its mean is one for losses of 0 and 1, it is for all others."""
    stakes = Risk(rate, ARL, inflation=inflation, graded=True).stakes
    assert stakes == sorted(stakes)
    for stake in stakes:
        assert 1.0 - stake * rate > 0.0
        low, high = 1.0 - stake * rate, 1.0 + stake * (1.0 - rate)
        assert (1.0 - rate) * low + rate * high == pytest.approx(1.0)


@pytest.mark.slow
@pytest.mark.parametrize(("mean", "sd"), [ROUGE, (0.2, 0.2), (0.85, 0.05)])
def test_at_the_limit_false_alarms_are_as_rare_as_asked(mean: float, sd: float) -> None:
    """Of 120 runs of ARL / 10 losses an exponential run length would stop 11; and the mean run is as long as asked."""
    detector = Risk(mean, 1_000, graded=True)
    lengths = [losses_until(detector, mean, sd, seed, 10_000) for seed in range(120)]
    assert sum(length < 100 for length in lengths) <= 11
    assert np.mean(lengths) >= 1_000


@pytest.mark.slow
def test_a_healthy_reference_is_left_alone() -> None:
    """60 references of 200 labels, each followed by a whole run length: at the limit 37 alarms would be allowed."""
    stopped = 0
    for seed in range(60):
        detector = ours(graded(np.random.default_rng(5_000 + seed), 200, *ROUGE))
        stopped += losses_until(detector, *ROUGE, seed, ARL) < ARL
    assert stopped <= 3


@pytest.mark.slow
def test_a_fall_of_rouge_is_found_in_half_the_labels_that_bets_for_right_and_wrong_take() -> None:
    """108 where those take 204; and 0.6 to 0.8 in 49 labels where those take 78."""
    found, plain = medians(*ROUGE, 0.60)
    assert found <= 115
    assert plain >= 1.7 * found
    assert medians(0.6, 0.1, 0.8)[0] <= 52


def until_alarm(seed: int, episode: int, *, plain: bool = False) -> int:
    """Labels until an alarm of 2,000 healthy ones, at the limit's own bound, after a reference of 600; losses come in
    episodes of so many alike. `plain`: taken for independent."""
    rng = np.random.default_rng(seed)
    settings = MonitorSettings(tolerance=0.0, label_arl=2_000)
    known = known_of(np.repeat(graded(rng, 600 // episode, *ROUGE), episode).tolist(), range(600))
    if plain:
        known = msgspec.structs.replace(known, block=1, inflation=1.0, worth=600)
    about = About("quality", "v1", baseline=quality.baseline(settings, known))
    state = quality.State()
    for k, loss in enumerate(np.repeat(graded(rng, 2_000 // episode, *ROUGE), episode).tolist()):
        label = GivenLabel(LabelledEvent(str(k), k, (), loss), -1.0, k)
        state, found = quality.update(settings, about, state, LabelStep([label]))
        if found:
            return k
    return 2_000


@pytest.mark.slow
def test_graded_losses_that_come_in_episodes_raise_no_more_alarms_than_asked() -> None:
    """Taken for independent, 29 of 30 such runs raise one."""
    assert sum(until_alarm(seed, 10) < 2_000 for seed in range(20)) <= 2
    assert sum(until_alarm(seed, 1) < 2_000 for seed in range(20)) <= 2
    assert sum(until_alarm(seed, 10, plain=True) < 2_000 for seed in range(6)) >= 4


def test_where_all_losses_are_1_harm_beyond_the_least_room_is_proven_in_about_a_hundred_labels() -> None:
    limit = 1.0 - LEAST_GRADED_ROOM
    assert leaves_room(limit, graded=True)
    assert not leaves_room(limit, graded=False)
    assert not leaves_room(limit + 0.01, graded=True)
    _, harm = Risk(limit, ARL, graded=True).update(risk.State(), [1.0] * 150, [("", 0)] * 150)
    assert harm is not None
    assert harm.step < 130
