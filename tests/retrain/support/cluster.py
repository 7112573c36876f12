"""A cluster as trainers see it: a namespace of a real API server, or what answers like one."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrain.runners.interface import Runner
from retrain.runners.settings import KubernetesSettings
from tests.retrain.support.job_api import JobApi, serving_jobs
from tests.support.api_server import ApiServer

if TYPE_CHECKING:
    from lightkube import Client

NAMESPACE = "homeostat"
SECRET = "from-its-place"


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
