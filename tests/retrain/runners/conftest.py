"""Runners of each kind, over what stands for their machines: a job is a line of Python."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retrain.job_files import JobSpec
from retrain.runners.interface import Runner
from retrain.runners.local import LocalRunner
from retrain.runners.settings import KubernetesSettings
from tests.retrain.support.job_api import JobApi, serving_jobs
from tests.retrain.test_job import spec
from tests.support.api_server import ApiServer, api_server

if TYPE_CHECKING:
    from lightkube import Client

__all__ = ["api_server"]  # a fixture
NAMESPACE = "homeostat"
REAL = pytest.param("real", marks=[pytest.mark.system, pytest.mark.k8s])
SECRET = "from-its-place"


@dataclass(frozen=True)
class Jobs:
    """A runner, the description of a job, and how often the job was started."""

    runner: Runner
    spec: JobSpec
    starts: Callable[[], int]
    secret: str  # reference to SECRET


@dataclass(frozen=True)
class Cluster:
    """A cluster as trainers see it; `folder`: where pods have their volume."""

    api: Callable[[], Client]  # a client, of the administrator
    settings: KubernetesSettings
    folder: Path
    fake: JobApi | None = None

    def runner(self, me: str = "trainer/one", client: Client | None = None) -> Runner:
        from retrain.runners.kubernetes import KubernetesRunner

        return KubernetesRunner(self.settings, me, client or self.api(), patience_s=20.0)


def template(folder: Path) -> dict[str, Any]:
    """A CronJob as the trainer's Jobs are made by; its volume is a folder of this machine."""
    container = {"name": "homeostat", "image": "trainer", "volumeMounts": [{"name": "var", "mountPath": str(folder)}]}
    pod = {"restartPolicy": "Never", "containers": [container], "volumes": [{"name": "var", "emptyDir": {}}]}
    job = {"metadata": {"labels": {"kind": "retraining"}}, "spec": {"template": {"spec": pod}}}
    metadata = {"name": KubernetesSettings().template, "namespace": NAMESPACE}
    cron = {"schedule": "0 0 31 2 *", "suspend": True, "jobTemplate": job}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": cron}


def secret() -> dict[str, Any]:
    data = {"token": base64.b64encode(SECRET.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "team", "namespace": NAMESPACE}, "data": data}


@contextmanager
def faked(settings: KubernetesSettings) -> Iterator[Cluster]:
    """One that takes Jobs and nothing else."""
    from lightkube import Client, KubeConfig
    from lightkube.config.models import Cluster as Place
    from lightkube.config.models import User

    api, folder = JobApi(), Path(settings.var)
    with serving_jobs(api) as url:
        api.answer("POST", f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs", template(folder))
        api.answer("POST", f"/api/v1/namespaces/{NAMESPACE}/secrets", secret())
        config = KubeConfig.from_one(cluster=Place(server=url), user=User(token="any"))
        yield Cluster(lambda: Client(config, namespace=NAMESPACE, trust_env=False), settings, folder, api)


def real(server: ApiServer, settings: KubernetesSettings) -> Cluster:
    """A namespace of the API server, without Jobs."""
    from lightkube import Client, KubeConfig

    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    server.kubectl("apply", "-f", "-", text=json.dumps(namespace))
    for name in server.kubectl("get", "jobs", "-n", NAMESPACE, "-o", "name").split():
        if name.startswith("job.batch/"):  # no controller ends what waits for its pods
            server.kubectl("patch", name, "-n", NAMESPACE, "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    everything = ("jobs,cronjobs", "--all", "-n", NAMESPACE)
    server.kubectl("delete", *everything, "--cascade=background", "--wait=false")
    for each in (template(Path(settings.var)), secret()):
        server.kubectl("apply", "-f", "-", text=json.dumps(each))
    config = KubeConfig.from_file(server.kubeconfig)
    return Cluster(lambda: Client(config, namespace=NAMESPACE, trust_env=False), settings, Path(settings.var))


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
