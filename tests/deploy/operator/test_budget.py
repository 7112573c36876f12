from __future__ import annotations

import doctest
import tomllib

import numpy as np
import pytest
from click.testing import CliRunner

from deploy.cli import main
from deploy.operator import budget as monitor_plan
from deploy.operator.budget import Dependence
from monitor import budget
from monitor.budget import AliasTraffic
from monitor.detectors.risk import upper_bound
from monitor.selection.complaints import TIMES
from monitor.settings import Fairness, MonitorSettings, Safety
from tests.monitor.support.complaining import ARL, complaint_rate, watched


def run(*words: str) -> str:
    done = CliRunner().invoke(main, ["monitor", "plan", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_what_it_prints_is_a_valid_configuration_that_keeps_the_budget() -> None:
    shown = run(
        "--days", "30", "--events", "50000", "--labels", "500", "--judged", "9000", "--aliases", "3", "--tags", "2"
    )
    assert "At least 30 days pass between false pages, on average, of all 3 aliases together" in shown
    made = tomllib.loads(shown[shown.index("[monitor]") :])["monitor"]
    safety, fairness = Safety(**made.pop("safety")), Fairness(**made.pop("fairness"))
    settings = MonitorSettings(**made, safety=safety, fairness=fairness)
    traffic = AliasTraffic(events=50_000, labels=500, judged=9_000, aliases=3, tags=2)
    assert monitor_plan.present(settings, traffic).days >= 30


def test_what_takes_no_steps_is_left_as_it_is() -> None:
    shown = run("--days", "30", "--events", "50000")
    made = tomllib.loads(shown[shown.index("[monitor]") :])["monitor"]
    assert set(made) == {"arl_events", "safety"}
    assert set(made["safety"]) == {"arl"}


def test_without_days_it_says_what_is_set() -> None:
    shown = run("--events", "50000")
    assert "At least 1 h 36 min pass" in shown
    assert "nothing: no steps" in shown
    assert "[monitor]" not in shown


def test_dependent_events_tell_less() -> None:
    traffic = AliasTraffic(events=5_000, labels=0)
    found = [
        monitor_plan.present(MonitorSettings(), traffic, Dependence(*each)).found["drift"]
        for each in ((0.0, 0), (0.0, 3), (0.2, 3), (0.6, 3))
    ]
    assert found == sorted(set(found))


def test_each_kind_says_what_it_finds() -> None:
    plan = monitor_plan.present(MonitorSettings(), AliasTraffic(events=50_000, labels=5_000, tags=1))
    assert plan.found["safety"].startswith("a flag in ")
    assert plan.found["fairness"].startswith("gap of ")
    assert set(plan.found) == set(budget.SHARES)


def test_it_says_how_long_a_trial_takes_or_that_complaints_cannot_decide() -> None:
    assert "sessions" not in run("--events", "50000")
    enough = run("--events", "50000", "--sessions", "10000", "--complaints", "0.1")
    assert "from 10.0% of the sessions, takes 2,389 sessions" in enough
    assert "cannot decide" not in enough
    assert "complaints cannot decide at this volume" in run("--events", "500", "--sessions", "100")


def test_it_says_how_many_replies_complaints_take_or_that_they_cannot_decide() -> None:
    enough = run("--events", "20000", "--complained", "0.01")
    assert "twice as many are found within" in enough
    assert "cannot decide" not in enough
    assert "Complaints cannot decide at this volume" in run("--events", "200", "--complained", "0.001")
    assert "twice as many are not found" in run("--events", "200", "--complained", "0.0005")


@pytest.mark.slow
@pytest.mark.parametrize(("accuracy", "most"), [(0.6, 1_250), (0.2, 300)])
def test_complaints_are_found_within_the_planned_replies(accuracy: float, most: int) -> None:
    """Complaints of 1.7 % of the replies, then 3.8 or 6.6 %."""
    limit = upper_bound(100, 5_883, 0.95)
    excesses = [limit * (times - 1.0) for times in TIMES]
    planned = budget.delay(ARL, limit, complaint_rate(accuracy), excesses)
    assert planned <= most
    found = [watched(accuracy, 10_000, seed)[1] or 10_000 for seed in range(20)]
    assert np.mean(found) <= planned


def test_wrong_numbers_are_refused() -> None:
    assert CliRunner().invoke(main, ["monitor", "plan", "--events", "1", "--days", "0"]).exit_code == 2


def test_docstrings_run() -> None:
    assert doctest.testmod(monitor_plan).failed == 0
