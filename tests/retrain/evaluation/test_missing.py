"""What the gate makes of labels by who chose them."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from monitor.detectors.paired import counted
from retrain.evaluation.checks import REGRESSION, TARGET
from retrain.evaluation.comparison import start
from retrain.evaluation.gate import judge, waits
from retrain.evaluation.missing import MissingPairs, at_best, at_worst
from retrain.settings import RetrainSettings
from tests.retrain.support.selected_gate import CHOICES, Choice, by_doubt, promoted, verdict

RUNS = 60
VOLUNTEERED = [name for name in CHOICES if name.startswith("volunteered")]


def test_missing_rows_count_against_a_claim_and_against_its_opposite() -> None:
    seen = counted([1.0, 0.0, -1.0])
    missing = MissingPairs(same=2, differing=3) + MissingPairs(differing=1)
    assert at_worst(seen, missing).times == {"1": 1, "0": 3, "-1": 5}
    assert at_best(seen, missing).times == {"1": 5, "0": 3, "-1": 1}
    assert at_worst(seen, MissingPairs()) is seen


def test_a_gain_that_the_missing_labels_could_undo_is_inconclusive_and_says_so() -> None:
    better, same = [(1.0, 0.0)] * 40 + [(1.0, 1.0)] * 60, [(1.0, 1.0)] * 400
    gate = msgspec.structs.replace(start(RetrainSettings(), "b", "a", None, {}), target=better, regression=same)
    assert judge(gate).status == "promote"
    few = msgspec.structs.replace(gate, missing={TARGET: MissingPairs(200, 3)})
    assert judge(few).status == "promote"
    many = msgspec.structs.replace(gate, missing={TARGET: MissingPairs(10, 40)})
    found = judge(many)
    assert (found.status, waits(many, TARGET)) == ("inconclusive", True)
    assert "were the 50 audited rows without a label all against it, +0.0" in found.reason
    assert [check.at_worst for check in found.checks] == [0.0, None]


def test_missing_labels_reject_nothing() -> None:
    pairs = [(1.0, 1.0)] * 50
    gate = msgspec.structs.replace(start(RetrainSettings(), "b", "a", None, {}), target=pairs, regression=pairs)
    gone = {TARGET: MissingPairs(0, 500), REGRESSION: MissingPairs(0, 500)}
    assert judge(msgspec.structs.replace(gate, missing=gone)).status == "inconclusive"


@pytest.mark.parametrize("name", VOLUNTEERED)
def test_volunteered_labels_judge_nothing_and_the_reason_says_so(name: str) -> None:
    found = verdict(CHOICES[name], 0.2, 0.2, np.random.default_rng(1), replies=400)
    assert found.status == "inconclusive"
    assert "rows teach and do not judge: volunteered" in found.reason


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CHOICES if name not in VOLUNTEERED])
def test_a_worse_candidate_is_not_promoted_whatever_is_missing(name: str) -> None:
    assert max(promoted(name, gain, 0.2, RUNS, seed=2) for gain in (-0.05, -0.1, -0.2)) <= 0.05


@pytest.mark.slow
def test_drawn_labels_as_they_are_would_promote_what_is_worse() -> None:
    """Champions' wrong answers look doubtful: among those a candidate wins that loses among the right ones."""
    found = 0
    for run in range(RUNS):
        rng = np.random.default_rng((2, run))
        found += verdict(Choice("wanted", 0.2, by_doubt(thinned=False)), -0.05, 0.2, rng).status == "promote"
    assert found > 0.3 * RUNS


@pytest.mark.slow
def test_a_better_candidate_is_promoted_though_a_tenth_of_an_audit_has_no_label() -> None:
    """Goal: within five points of the power on labels by chance."""
    found = {name: promoted(name, 0.1, 0.2, RUNS, seed=1) for name in ("random", "audit", "audit, a tenth missing")}
    assert min(found.values()) >= found["random"] - 0.05


@pytest.mark.slow
def test_an_audit_of_which_a_third_is_missing_is_inconclusive() -> None:
    assert promoted("audit, a third missing", 0.1, 0.2, RUNS, 1, "inconclusive") >= 0.95
