"""What every runner promises, asked of each: the local one, and the cluster's over a fake API and over the real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from retrain.runners.interface import JobState
from tests.retrain.runners.conftest import Jobs
from tests.retrain.support.cluster import SECRET
from tests.support.waiting import wait

pytestmark = pytest.mark.slow
Make = Callable[[str], Jobs]
LONG = "import time; time.sleep(120)"


def ended(jobs: Jobs) -> JobState:
    wait(lambda: not jobs.runner.poll("r1").running, "the job's end")
    return jobs.runner.poll("r1")


def test_a_job_is_started_once_and_again_once_it_was_stopped(make: Make) -> None:
    jobs = make(LONG)
    jobs.runner.start(jobs.spec)
    jobs.runner.start(jobs.spec)
    wait(lambda: jobs.starts() == 1)
    assert jobs.runner.poll("r1") == JobState(running=True)
    jobs.runner.stop("r1")
    assert not jobs.runner.poll("r1").running
    jobs.runner.stop("r1")
    jobs.runner.start(jobs.spec)
    wait(lambda: jobs.starts() == 2)
    assert jobs.runner.poll("r1") == JobState(running=True)
    jobs.runner.stop("r1")
    assert jobs.starts() == 2


def test_a_job_that_ends_well_says_nothing(make: Make) -> None:
    jobs = make("pass")
    jobs.runner.start(jobs.spec)
    assert ended(jobs) == JobState(running=False)
    jobs.runner.stop("r1")
    jobs.runner.forget("r1")


def test_a_job_that_fails_says_why(make: Make) -> None:
    jobs = make("raise SystemExit(2)")
    jobs.runner.start(jobs.spec)
    assert any(why in ended(jobs).why for why in ("ended with status 2", "failed with exit code 2"))


def test_one_that_was_never_started_has_ended(make: Make) -> None:
    assert "never started" in make("pass").runner.poll("another").why


def test_a_secret_is_known_to_the_job_alone(make: Make, tmp_path: Path) -> None:
    found = tmp_path / "found"
    jobs = make(f"import os, pathlib; pathlib.Path({str(found)!r}).write_text(os.environ['HF_TOKEN'])")
    jobs.runner.start(replace(jobs.spec, secrets={"HF_TOKEN": jobs.secret}))
    assert ended(jobs) == JobState(running=False)
    assert found.read_text() == SECRET


def test_a_job_that_is_forgotten_has_ended(make: Make) -> None:
    jobs = make(LONG)
    jobs.runner.start(jobs.spec)
    wait(lambda: jobs.starts() == 1)
    jobs.runner.forget("r1")
    wait(lambda: not jobs.runner.poll("r1").running)
    assert jobs.starts() == 1
