"""What its document shows runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.cli import main
from streams import ledger
from streams.events import DecisionRecorded
from tests.deploy.support.lives import life, live, store

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs" / "backtest.md").read_text(), re.DOTALL))
COMMANDS = BLOCKS["console"].splitlines()
LIFE = life("harm")


@pytest.fixture(scope="module")
def entries() -> list[DecisionRecorded]:
    return live(LIFE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_policy_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, entries: list[DecisionRecorded]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "eager.toml").write_text(BLOCKS["toml"])
    store(tmp_path / "var/lake", LIFE)
    ledger.export(entries, tmp_path / "ledger.jsonl")
    name, *words = shlex.split(command.replace("2026-05-01", "2025-06-01").replace("2026-06-01", "2025-07-01"))
    done = CliRunner().invoke(main, words)
    assert (name, done.exit_code) == ("homeostat", 0), done.output
    assert "var/backtest/backtest.html" in done.stdout
    assert (tmp_path / "var/backtest/backtest.json").exists()
