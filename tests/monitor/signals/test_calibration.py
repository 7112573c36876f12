from __future__ import annotations

import numpy as np
import pytest

from monitor.describe.descriptors import NAMES
from monitor.signals.calibration import Estimate, Trust, check, estimate, fit, predict
from tests.monitor.support.world import make


def labelled(count: int, seed: int = 0) -> tuple[list[float], list[bool]]:
    """Confidence c is right with probability c."""
    rng = np.random.default_rng(seed)
    confidences = rng.random(count)
    return confidences.tolist(), (rng.random(count) < confidences).tolist()


def test_estimates_hold_the_truth_and_never_fall_with_confidence() -> None:
    fitted = fit(*labelled(500))
    assert fitted is not None
    assert (np.diff(predict(fitted, np.linspace(0, 1, 50).tolist())) >= 0).all()
    for low, truth in ((0.0, 0.5), (0.5, 0.75)):
        interval = estimate(fitted, np.linspace(low, 1, 200).tolist()).interval
        assert interval is not None
        assert interval[0] < truth < interval[1]


def test_too_few_labels_give_no_estimate() -> None:
    assert fit(*labelled(19)) is None
    assert fit([], []) is None
    assert Estimate().accuracy is None
    assert Estimate().interval is None


def test_estimates_add_up() -> None:
    fitted = fit(*labelled(200))
    assert fitted is not None
    both = estimate(fitted, [0.1, 0.9])
    assert estimate(fitted, [0.1]) + estimate(fitted, [0.9]) == both


def test_labels_that_disagree_withdraw_the_estimate() -> None:
    rng = np.random.default_rng(1)
    wrong = [float(right) - 0.95 for right in rng.random(100) < 0.5]
    assert check(Trust(), wrong).lost
    assert check(check(Trust(), wrong), [0.0] * 500).lost


def test_labels_that_agree_do_not() -> None:
    for seed in range(20):
        right = np.random.default_rng(seed).random(400) < 0.9
        assert not check(Trust(), [float(each) - 0.9 for each in right]).lost


def sure(count: int, seed: int, *, floor: float = -0.7, tied: float = 0.92) -> tuple[list[float], list[bool]]:
    """A sure model: most confidences are exactly 0.0 and 98 % of those right; of the others 65 % are."""
    rng = np.random.default_rng(seed)
    zero = rng.random(count) < tied
    confidences = np.where(zero, 0.0, floor * rng.random(count) if floor > -1_000 else floor)
    return confidences.tolist(), (rng.random(count) < np.where(zero, 0.98, 0.65)).tolist()


@pytest.mark.parametrize("floor", [-0.7, -9999.0])
@pytest.mark.parametrize("seed", range(4))
def test_equal_confidences_are_one_bin(floor: float, seed: int) -> None:
    """0.92 * 0.98 + 0.08 * 0.65 = 0.954 of the answers are right."""
    fitted = fit(*sure(600, seed, floor=floor))
    assert fitted is not None
    promised = estimate(fitted, sure(4_000, 100 + seed, floor=floor)[0]).accuracy
    assert promised == pytest.approx(0.954, abs=0.03)
    assert predict(fitted, [0.0])[0] == pytest.approx(0.98, abs=0.03)


def test_two_values_are_two_bins_whichever_comes_first() -> None:
    """The order in which labels came must not matter."""
    right = [False] * 15 + [True] * 85
    for order in (range(100), range(99, -1, -1)):
        fitted = fit([-1.0 if k < 15 else 0.0 for k in order], [right[k] for k in order])
        assert fitted is not None
        assert predict(fitted, [-9999.0, -1.0, 0.0]).round(2).tolist() == [0.03, 0.03, 0.99]


def test_confidences_that_are_all_equal_promise_nothing() -> None:
    assert fit([0.0] * 500, [k % 20 > 0 for k in range(500)]) is None
    assert fit([-0.1] * 9 + [0.0] * 491, [True] * 500) is None


def test_what_was_not_measured_is_left_out() -> None:
    confidences, correct = labelled(300)
    fitted, mixed = fit(confidences, correct), fit([*confidences, np.nan, np.nan], [*correct, False, True])
    assert fitted is not None
    assert mixed is not None
    assert (mixed.chances == fitted.chances).all()
    assert np.isnan(predict(fitted, [np.nan])).all()
    assert estimate(fitted, [0.4, np.nan]) == estimate(fitted, [0.4])
    assert fit([np.nan] * 500, [True] * 500) is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_a_sure_healthy_model_raises_no_alarm(seed: int) -> None:
    world = make(seed)
    rng = np.random.default_rng(100 + seed)

    def serve(count: int) -> tuple[list[str], list[bool]]:
        confidences, correct = sure(count, int(rng.integers(2**31)))
        values = rng.standard_normal((count, len(NAMES)))
        values[:, -2:] = np.array(confidences)[:, None]
        return world.serve(count, values=values), correct

    ids, correct = serve(300)
    world.label(ids, correct)
    for _ in range(10):
        serve(200)
    assert world.alarms("estimated_quality") == []
