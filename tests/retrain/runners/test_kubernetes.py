"""Jobs of a cluster: one for a request, however often it is asked for; trainers, pods, the API server may go."""

from __future__ import annotations

import json
from dataclasses import replace as changed
from pathlib import Path

import pytest
from msgspec.structs import replace

from retrain.job_files import JobSpec
from retrain.runners import manifest
from retrain.runners.interface import JobState
from tests.retrain.support.cluster import NAMESPACE, Cluster
from tests.retrain.support.whole_job import KILLS, twice
from tests.retrain.test_job import spec
from tests.support.api_server import ApiServer
from tests.support.s3 import S3
from tests.support.waiting import wait

pytestmark = pytest.mark.slow
LONG = "import time; time.sleep(120)"


@pytest.fixture
def described(tmp_path: Path) -> JobSpec:
    return spec(tmp_path, tmp_path, "0" * 64)


def found(cluster: Cluster) -> manifest.Json:
    from lightkube.resources.batch_v1 import Job

    return dict(cluster.api().get(Job, manifest.job_name("r1")).to_dict())


def test_a_second_trainer_takes_the_job_over_and_the_first_cannot_stop_it(cluster: Cluster, described: JobSpec) -> None:
    from tests.retrain.support.kubelet import Kubelet, running

    one, two = cluster.runner("trainer/one"), cluster.runner("trainer/two")
    with running(Kubelet(cluster.api(), LONG)) as kubelet:
        one.start(described)
        wait(lambda: kubelet.starts == 1)
        two.start(described)
        one.stop("r1")
        one.forget("r1")
        assert two.poll("r1") == one.poll("r1") == JobState(running=True)
        assert manifest.holder(found(cluster)) == "trainer/two"
        two.stop("r1")
        assert not two.poll("r1").running
        assert kubelet.starts == 1


def test_a_stopped_job_is_suspended_and_goes_on_as_the_same_one(cluster: Cluster, described: JobSpec) -> None:
    from tests.retrain.support.kubelet import Kubelet, running

    runner = cluster.runner()
    with running(Kubelet(cluster.api(), LONG)):
        runner.start(described)
        uid = found(cluster)["metadata"].get("uid")
        runner.stop("r1")
        assert found(cluster)["spec"]["suspend"] is True
        assert manifest.pods(found(cluster)) == 0
        runner.start(described)
        assert found(cluster)["spec"]["suspend"] is False
        assert found(cluster)["metadata"].get("uid") == uid
        runner.stop("r1")


def test_a_stopped_job_of_a_queue_is_deleted_for_suspend_is_the_queues(cluster: Cluster, described: JobSpec) -> None:
    from lightkube.resources.batch_v1 import CronJob
    from lightkube.types import PatchType

    from tests.retrain.support.kubelet import Kubelet, running

    labels = {"spec": {"jobTemplate": {"metadata": {"labels": {manifest.QUEUE: "homeostat"}}}}}
    cluster.api().patch(CronJob, cluster.settings.template, labels, patch_type=PatchType.MERGE)
    runner = cluster.runner()
    with running(Kubelet(cluster.api(), LONG)) as kubelet:
        runner.start(described)
        assert manifest.queued(found(cluster))
        wait(lambda: kubelet.starts == 1)
        runner.stop("r1")
        assert not runner.poll("r1").running
        wait(lambda: "not there" in runner.poll("r1").why)
        runner.start(described)
        wait(lambda: kubelet.starts == 2)
        runner.stop("r1")


def test_a_job_that_takes_too_long_ends(cluster: Cluster, described: JobSpec) -> None:
    from tests.retrain.support.kubelet import Kubelet, running

    runner = cluster.runner()
    with running(Kubelet(cluster.api(), LONG)):
        runner.start(replace(described, timeout_s=1.0))
        wait(lambda: not runner.poll("r1").running)
        assert "DeadlineExceeded" in runner.poll("r1").why


def test_a_pod_that_is_killed_is_followed_by_another(cluster: Cluster, described: JobSpec) -> None:
    from tests.retrain.support.kubelet import Kubelet, running

    runner = cluster.runner()
    with running(Kubelet(cluster.api(), LONG)) as kubelet:
        runner.start(described)
        for count in (1, 2):
            wait(lambda count=count: kubelet.starts == count)  # type: ignore[misc]
            wait(lambda: kubelet.pods)
            next(iter(kubelet.pods.values())).kill()
        wait(lambda: kubelet.starts == 3)
        assert runner.poll("r1").running
        runner.stop("r1")


def test_a_job_that_is_deleted_by_hand_has_ended_with_that_reason(cluster: Cluster, described: JobSpec) -> None:
    from lightkube.resources.batch_v1 import Job
    from lightkube.types import CascadeType

    from tests.retrain.support.kubelet import Kubelet, running

    runner = cluster.runner()
    with running(Kubelet(cluster.api(), LONG)):
        runner.start(described)
        cluster.api().delete(Job, manifest.job_name("r1"), cascade=CascadeType.FOREGROUND)
        wait(lambda: not runner.poll("r1").running)
        assert "never started, or deleted" in runner.poll("r1").why


def test_a_template_that_is_missing_is_named(cluster: Cluster, described: JobSpec) -> None:
    other = changed(cluster, settings=changed(cluster.settings, template="another"))
    with pytest.raises(RuntimeError, match=r"refuses the jobs' template in namespace homeostat: .*another.*not found"):
        other.runner().start(described)


def test_a_secret_of_another_kind_is_refused_before_anything_is_made(cluster: Cluster, described: JobSpec) -> None:
    with pytest.raises(ValueError, match=r"retrain\.secrets\.HF_TOKEN is 'env:TOKEN', expected secret:NAME/KEY"):
        cluster.runner().start(replace(described, secrets={"HF_TOKEN": "env:TOKEN"}))
    assert "never started" in cluster.runner().poll("r1").why


@pytest.mark.parametrize("cluster", ["fake"], indirect=True)
def test_a_job_outlives_an_api_server_that_is_away(cluster: Cluster, described: JobSpec) -> None:
    runner, fake = cluster.runner(), cluster.fake
    assert fake is not None
    fake.away = 3
    runner.start(described)
    fake.away = 1
    assert runner.poll("r1") == JobState(running=True)
    assert runner.poll("r1") == JobState(running=True)
    assert sum(kind == "jobs" for kind, _ in fake.objects) == 1


@pytest.mark.parametrize("cluster", ["fake"], indirect=True)
def test_an_api_server_that_stays_away_keeps_no_request_for_ever(cluster: Cluster, described: JobSpec) -> None:
    from retrain.runners.kubernetes import KubernetesRunner

    runner, fake = KubernetesRunner(cluster.settings, "trainer/one", cluster.api(), patience_s=1.0), cluster.fake
    assert fake is not None
    fake.away = 10_000
    with pytest.raises(ConnectionError, match=r"waited 1 s for the API server, in vain"):
        runner.start(described)
    runner.stop("r1")
    runner.forget("r1")


@pytest.mark.system
@pytest.mark.k8s
@pytest.mark.parametrize("cluster", ["real"], indirect=True)
def test_the_trainers_own_rights_are_enough(cluster: Cluster, described: JobSpec, api_server: ApiServer) -> None:
    from lightkube import Client, KubeConfig
    from lightkube.config.models import Cluster as Place
    from lightkube.config.models import User

    from tests.deploy.kubernetes.rendered import rendered
    from tests.retrain.support.kubelet import Kubelet, running

    for each in rendered("minimal").of("ServiceAccount", "Role", "RoleBinding"):
        api_server.kubectl("apply", "-f", "-", text=json.dumps(each))
    token = api_server.kubectl("create", "token", "trainer", "-n", NAMESPACE).strip()
    place = Place(server=api_server.url, insecure=True)
    client = Client(KubeConfig.from_one(cluster=place, user=User(token=token)), namespace=NAMESPACE, trust_env=False)
    runner = cluster.runner("trainer/one", client)
    with running(Kubelet(cluster.api(), LONG)) as kubelet:
        runner.start(described)
        wait(lambda: kubelet.starts == 1)
        runner.stop("r1")
        runner.start(described)
        runner.stop("r1")
        runner.forget("r1")
        wait(lambda: "deleted" in runner.poll("r1").why)


@pytest.mark.timeout(5_400)
def test_a_whole_retraining_comes_to_what_the_local_runner_comes_to(
    cluster: Cluster, s3: S3, model_dir: Path, tmp_path: Path
) -> None:
    places = (s3.storage(f"{tmp_path.name}-here"), s3.storage(f"{tmp_path.name}-there"))
    found = twice(cluster, places, model_dir, tmp_path)
    assert found.same_verdict(), (found.here.problem, found.there.problem)
    assert found.same_adapter()
    assert found.pods == 1 + KILLS, "each was killed once it had begun, and none ran beside another"
    assert found.there.metrics["resumed_at"] >= 5
