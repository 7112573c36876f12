"""The configuration: every problem at once, each with key, value and expectation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.config import Config
from deploy.parse import ConfigError, load


@dataclass(frozen=True, slots=True)
class Inner:
    port: int = 1
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is {self.share!r}, expected 0 to 1")


@dataclass(frozen=True, slots=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    name: str = "x"


def written(folder: Path, text: str) -> Path:
    path = folder / "homeostat.toml"
    path.write_text(text)
    return path


def test_defaults_need_no_file() -> None:
    assert load(Outer, None, {}) == Outer()


def test_file_and_environment_are_joined_and_the_environment_wins(tmp_path: Path) -> None:
    path = written(tmp_path, "name = 'a'\n[inner]\nport = 5\n")
    assert load(Outer, path, {"HOMEOSTAT__INNER__PORT": "7", "HOME": "/"}) == Outer(Inner(port=7), "a")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "nmae = 1\nname = 3\n[inner]\nport = 'many'\nprot = 2\n")
    with pytest.raises(ConfigError) as raised:
        load(Outer, path, {})
    text = str(raised.value)
    for part in (
        str(path),
        "nmae: unknown key",
        "inner.prot: unknown key; expected one of port",
        "inner.port = 'many'",
    ):
        assert part in text
    assert "name = 3" in text


def test_a_value_out_of_range_names_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"share is 2\.0, expected 0 to 1"):
        load(Outer, written(tmp_path, "[inner]\nshare = 2.0\n"), {})


def test_the_operators_patterns_are_checked_where_they_are_written(tmp_path: Path) -> None:
    text = "[monitor.policy_patterns]\ncompetitor = '\\bacme\\b'\n"
    settings = load(Config, written(tmp_path, text), {"HOMEOSTAT__MONITOR__POLICY_PATTERNS__PROMISE": "guarantee"})
    assert settings.monitor.policy_patterns == {"competitor": r"\bacme\b", "promise": "guarantee"}
    with pytest.raises(ConfigError, match=r"policy_patterns\.hurry is 'now\.\*', which may take .* steps"):
        load(Config, written(tmp_path, text + "hurry = 'now.*'"), {})


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(Outer, tmp_path / "none.toml", {})


def test_broken_toml_names_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not TOML: .*line 1"):
        load(Outer, written(tmp_path, "= 3"), {})
