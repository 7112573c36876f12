"""Runners of each kind, over what stands for their machines: a job is a line of Python."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from retrain.job_files import JobSpec
from retrain.runners.interface import Runner
from retrain.runners.local import LocalRunner
from retrain.runners.settings import KubernetesSettings
from tests.retrain.support.cluster import NAMESPACE, SECRET, Cluster, faked, real
from tests.retrain.test_job import spec
from tests.support.api_server import api_server

__all__ = ["api_server"]  # a fixture
REAL = pytest.param("real", marks=[pytest.mark.system, pytest.mark.k8s])


@dataclass(frozen=True)
class Jobs:
    """A runner, the description of a job, and how often the job was started."""

    runner: Runner
    spec: JobSpec
    starts: Callable[[], int]
    secret: str  # reference to SECRET


def opened(kind: str, request: pytest.FixtureRequest, var: Path, held: ExitStack) -> Cluster:
    pytest.importorskip("lightkube")
    settings = KubernetesSettings(namespace=NAMESPACE, var=str(var / "pod"))
    if kind == "fake":
        return held.enter_context(faked(settings))
    return real(request.getfixturevalue("api_server"), settings)


@pytest.fixture(params=["fake", REAL])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as held:
        yield opened(request.param, request, tmp_path, held)


@pytest.fixture(params=["local", "fake", REAL])
def make(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Jobs]]:
    """Makes a runner whose jobs are a line of Python."""

    def made(code: str) -> Jobs:
        if request.param == "local":
            return local(code, tmp_path, monkeypatch, held)
        return remote(code, opened(request.param, request, tmp_path, held), held)

    with ExitStack() as held:
        yield made


def local(code: str, var: Path, monkeypatch: pytest.MonkeyPatch, held: ExitStack) -> Jobs:
    count, popen = [0], subprocess.Popen

    def start(_: list[str], **options: Any) -> Any:
        count[0] += 1
        return popen([sys.executable, "-c", code], **options)

    monkeypatch.setattr("retrain.runners.local.subprocess.Popen", start)
    monkeypatch.setenv("TEAM_TOKEN", SECRET)
    runner = LocalRunner(var)
    held.callback(runner.stop, "r1")
    return Jobs(runner, spec(var, var, "0" * 64), lambda: count[0], "env:TEAM_TOKEN")


def remote(code: str, cluster: Cluster, held: ExitStack) -> Jobs:
    from tests.retrain.support.kubelet import Kubelet, running

    kubelet = held.enter_context(running(Kubelet(cluster.api(), code)))
    described = spec(cluster.folder.parent, cluster.folder.parent, "0" * 64)
    return Jobs(cluster.runner(), described, lambda: kubelet.starts, "secret:team/token")
