"""The backend `command`: any program, its mistakes, its secrets, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from retrain.training.backends.process import training_command
from tests.retrain.support.orders import PROGRAM, by_program, fulfilled, ordered
from tests.support.waiting import wait

pytestmark = pytest.mark.slow

MISTAKES = {
    "--fails": "ended with status 1; the end of its output (.*): no memory left on device 0",
    "--delivers-nothing": "no adapter; adapter_config.json, adapter_model.safetensors missing",
    "--pickles": "pickled weights alone (adapter_model.bin), which are never loaded",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_programs_mistake_is_the_trainings_problem(mistake: str, model_dir: Path, tmp_path: Path) -> None:
    problem = fulfilled(ordered(tmp_path, model_dir, **by_program(mistake))).problem
    for part in MISTAKES[mistake].split(".*"):
        assert part in problem
    assert list(tmp_path.glob(".rows-*")) == [], "clients' texts stay nowhere"


def test_a_program_that_is_not_there_is_named(model_dir: Path, tmp_path: Path) -> None:
    command = ["no-such-trainer", "{manifest}"]
    problem = fulfilled(ordered(tmp_path, model_dir, backend="command", command=command)).problem
    assert "retrain.command: 'no-such-trainer' cannot be started (No such file or directory)" in problem


def test_no_shell_reads_the_command_and_no_secret_reaches_the_program(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-1")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret-2")
    monkeypatch.setenv("HF_TOKEN", "allowed")
    monkeypatch.setenv("PLAIN", "seen")
    given = by_program("--delivers-nothing", "; touch owned", "$(touch owned)")
    folder = ordered(tmp_path, model_dir, command_environment=["HF_TOKEN"], **given)
    fulfilled(folder)
    assert not (folder / "owned").exists()
    seen = json.loads((folder / "environment.json").read_text())
    assert (seen["HF_TOKEN"], seen["PLAIN"]) == ("allowed", "seen")
    kept = "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())
    assert "secret-1" not in kept
    assert "secret-2" not in kept


@pytest.mark.parametrize("kill", ["parent dies", "SIGKILL"])
def test_a_program_ends_with_the_training_that_started_it(kill: str, model_dir: Path, tmp_path: Path) -> None:
    folder = ordered(tmp_path, model_dir, backend="command", command=[*PROGRAM, "--hangs", "{manifest}"])
    process = subprocess.Popen(training_command(folder), stdin=subprocess.PIPE)
    try:
        wait((folder / "pid").exists, most_s=120)
        time.sleep(0.1)
        program = int((folder / "pid").read_text())
        if kill == "SIGKILL":
            process.send_signal(signal.SIGKILL)
        elif process.stdin is not None:
            process.stdin.close()
        process.wait(timeout=30)
        wait(lambda: not alive(program), most_s=30)
    finally:
        process.kill()
        process.wait()


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_training_is_a_process_that_says_what_went_wrong(model_dir: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "retrain.training", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (
        2,
        f"{tmp_path / 'order.json'}: missing; expected a training's order",
    )
    folder = ordered(tmp_path / "job", model_dir, [])
    done = subprocess.run(
        [sys.executable, "-m", "retrain.training", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 1
    assert "ValueError: rows: 0" in done.stderr
