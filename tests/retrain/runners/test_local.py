"""Jobs as processes of this machine: started once, looked at, stopped; secrets by reference alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from retrain.job_files import SPEC, JobSpec, read
from retrain.runners.interface import JobState
from retrain.runners.local import LocalRunner, secrets
from retrain.settings import RetrainSettings
from tests.retrain.test_job import spec
from tests.support.waiting import wait


class Started:
    """A runner whose jobs are a line of Python."""

    def __init__(self, var: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
        self.count, popen = 0, subprocess.Popen

        def start(_: list[str], **options: Any) -> Any:
            self.count += 1
            return popen([sys.executable, "-c", code], **options)

        monkeypatch.setattr("retrain.runners.local.subprocess.Popen", start)
        self.runner, self.spec = LocalRunner(var), spec(var, var, "0" * 64)

    def ended(self) -> JobState:
        wait(lambda: not self.runner.poll("r1").running)
        return self.runner.poll("r1")


def test_a_job_is_started_once_with_its_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Started(tmp_path, monkeypatch, "import time; time.sleep(60)")
    jobs.runner.start(jobs.spec)
    jobs.runner.start(jobs.spec)
    assert (jobs.count, jobs.runner.poll("r1")) == (1, JobState(running=True))
    written = read(jobs.runner.folder("r1") / SPEC, JobSpec)
    assert written == replace(jobs.spec, parent=os.getpid()), "it ends with this process"
    jobs.runner.stop("r1")
    assert not jobs.runner.poll("r1").running
    jobs.runner.stop("r1")
    jobs.runner.start(jobs.spec)
    assert jobs.count == 2
    jobs.runner.stop("r1")


def test_how_a_job_ended_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Started(tmp_path, monkeypatch, "print('why'); raise SystemExit(9)")
    jobs.runner.start(jobs.spec)
    log = tmp_path / "jobs" / "r1" / "log"
    assert jobs.ended() == JobState(running=False, why=f"the job ended with status 9; see {log}")
    assert log.read_text() == "why\n"
    assert "never started" in jobs.runner.poll("another").why


def test_a_secret_is_named_in_the_description_and_known_to_the_job_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("from-a-file\n")
    monkeypatch.setenv("TEAM_TOKEN", "from-the-environment")
    references = {"HF_TOKEN": "env:TEAM_TOKEN", "MLFLOW_TRACKING_PASSWORD": f"file:{tmp_path / 'secret'}"}
    code = "import os; print(os.environ['HF_TOKEN'], os.environ['MLFLOW_TRACKING_PASSWORD'])"
    jobs = Started(tmp_path, monkeypatch, code)
    jobs.runner.start(replace(jobs.spec, secrets=references))
    assert jobs.ended() == JobState(running=False)
    folder = jobs.runner.folder("r1")
    assert (folder / "log").read_text() == "from-the-environment from-a-file\n"
    assert "from-" not in (folder / SPEC).read_text()


def test_a_secret_that_is_nowhere_is_named_without_its_value() -> None:
    with pytest.raises(ValueError, match=r"retrain\.secrets\.HF_TOKEN is 'env:NONE', expected a variable"):
        secrets({"HF_TOKEN": "env:NONE"}, {})
    with pytest.raises(ValueError, match=r"secrets\.HF_TOKEN is \(not shown\), expected where the value is"):
        RetrainSettings(secrets={"HF_TOKEN": "hf_abcdef"})
