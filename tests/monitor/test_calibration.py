from __future__ import annotations

import numpy as np

from monitor.calibration import Estimate, Trust, check, estimate, fit, predict


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
