"""The closed loop, once, as a user starts it: the project's own world in small, a real model, real Kafka, real vLLM.

`make demo` runs the whole world."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.loop, pytest.mark.timeout(2100)]
ROOT = Path(__file__).parents[2]
LONGEST_S = 1800  # a demo that takes longer has hung


def homeostat(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command; one that hangs is ended, and fails with what it had printed."""
    command = [sys.executable, "-m", "deploy.cli", *arguments]
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST_S)
    except subprocess.TimeoutExpired as late:
        out, err = ((part if isinstance(part, str) else (part or b"").decode()) for part in (late.stdout, late.stderr))
        return subprocess.CompletedProcess(command, -1, out, f"{err}\nno end within {LONGEST_S} s")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    done = homeostat("demo", "--size", "small", "--report", str(folder))
    if done.returncode < 0:
        homeostat("down", "--config", str(folder / "stack" / "homeostat.toml"))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "report.json").read_text()))


def test_the_quality_comes_back(report: dict[str, Any]) -> None:
    accuracy = report["accuracy"]
    assert report["outcome"] == "recovered"
    assert accuracy["before"] >= 0.85
    assert accuracy["after"] >= accuracy["drifted"] + 0.20
    assert accuracy["after"] >= accuracy["before"] - 0.10
    assert min(report["rows"].values()) >= 80


def test_no_client_notices_the_swap(report: dict[str, Any]) -> None:
    assert report["requests"]["failed"] == 0
    assert report["requests"]["misattributed"] == 0


def test_every_reply_is_captured_and_consumed_once(report: dict[str, Any]) -> None:
    events = report["events"]
    assert events["published"] == events["consumed"] == report["requests"]["sent"]
    assert events["duplicates"] == events["dead_lettered"] == 0


def test_the_alarm_comes_soon(report: dict[str, Any]) -> None:
    assert report["events_to_alarm"] <= 150


def test_the_ledger_replays_bit_for_bit(folder: Path) -> None:
    done = homeostat("replay", str(folder / "ledger.jsonl"))
    assert done.returncode == 0, done.stderr
    assert "all derived again bit for bit" in done.stdout


def test_an_altered_ledger_is_found_out(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "ledger.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    at = next(i for i, entry in enumerate(entries) if entry["function"] == "gate.judge")
    entries[at]["output"]["status"] = "reject"
    altered = tmp_path / "ledger.jsonl"
    altered.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    done = homeostat("replay", str(altered))
    assert done.returncode == 1
    assert entries[at]["id"] in done.stderr


def test_nothing_is_left_running(folder: Path) -> None:
    assert list((folder / "stack" / "run").glob("*.json")) == []
