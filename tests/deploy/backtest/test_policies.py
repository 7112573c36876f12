from __future__ import annotations

from pathlib import Path

import pytest

from deploy.backtest.policies import PRESENT, PolicySections, policies
from deploy.config.parse import ConfigError
from monitor.settings import MonitorSettings, PolicySettings, Slo

NOW = PolicySections(MonitorSettings(tolerance=0.05, slo=Slo(ttft_ms=900.0)), PolicySettings(min_fresh_labels=80))


def file(tmp_path: Path, text: str, name: str = "other.toml") -> Path:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_what_a_file_leaves_out_is_as_it_is_now(tmp_path: Path) -> None:
    present, other = policies(NOW, [file(tmp_path, "[monitor.slo]\nmin_bad = 3\n[policy]\nbudget_per_day = 1\n")])
    assert (present.name, present.sections, present.changes) == (PRESENT, NOW, [])
    assert other.name == "other"
    assert other.sections.monitor == MonitorSettings(tolerance=0.05, slo=Slo(ttft_ms=900.0, min_bad=3))
    assert other.sections.policy == PolicySettings(min_fresh_labels=80, budget_per_day=1)
    assert other.changes == ["monitor.slo.min_bad: 10 -> 3", "policy.budget_per_day: 4 -> 1"]


def test_patterns_are_added(tmp_path: Path) -> None:
    text = "[monitor.policy_patterns]\nrefunds = 'full refund'\n"
    assert policies(NOW, [file(tmp_path, text)])[1].changes == [
        "monitor.policy_patterns.refunds: nothing -> full refund"
    ]


def test_all_that_is_wrong_in_all_files_is_told_at_once(tmp_path: Path) -> None:
    one = file(tmp_path, "[monitor]\ntolerance = 0.9\nmood = 1\n[gateway]\nport = 1\n", "one.toml")
    two = file(tmp_path, "[policy]\nlabel_growth = 'much'\n", "two.toml")
    with pytest.raises(ConfigError) as caught:
        policies(NOW, [one, tmp_path / "none.toml", file(tmp_path, "= 3", "bad.toml"), two])
    message = str(caught.value)
    for words in (
        f"{one}: monitor.mood: unknown key; expected one of alarm_clear_events, arl_events",
        f"{one}: gateway: unknown key; expected one of monitor, policy",
        "tolerance is 0.9, expected a share from 0 to below 0.5",
        f"{tmp_path / 'none.toml'}: cannot be read: No such file or directory\n",
        "bad.toml: is not TOML",
        f"{two}: policy.label_growth = 'much'",
    ):
        assert words in message
    assert "--config" not in message


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [file(tmp_path, "", "a/new.toml"), file(tmp_path, "", "b/new.toml"), file(tmp_path, "", "c.toml")]
    assert [each.name for each in policies(NOW, paths)] == [PRESENT, str(paths[0]), str(paths[1]), "c"]
