"""Whether a Job would be taken is asked, and none is made."""

from __future__ import annotations

from dataclasses import replace

from lightkube.resources.batch_v1 import CronJob, Job

from retrain.runners.kubernetes import KubernetesRunner
from tests.retrain.support.cluster import Cluster


def test_a_template_that_is_there_is_tried_and_leaves_no_job(cluster: Cluster) -> None:
    assert KubernetesRunner(cluster.settings, "doctor", cluster.api()).refusal() == ""
    assert list(cluster.api().list(Job)) == []
    assert [each.metadata.name for each in cluster.api().list(CronJob) if each.metadata] == ["homeostat-retraining"]


def test_a_template_that_is_not_there_is_named(cluster: Cluster) -> None:
    asking = KubernetesRunner(replace(cluster.settings, template="another"), "doctor", cluster.api())
    assert "another" in asking.refusal()
    assert "not found" in asking.refusal()
