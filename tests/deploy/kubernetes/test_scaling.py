"""Workers by the lag of their consumer group, where KEDA is."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.topics import INFERENCE
from tests.deploy.kubernetes.rendered import rendered

pytestmark = pytest.mark.system


def test_workers_are_scaled_by_their_own_lag(tmp_path: Path) -> None:
    for each in (rendered("eks"), rendered("gke")):
        scaled = each.one("ScaledObject", "worker")["spec"]
        (trigger,) = scaled["triggers"]
        metadata, config = trigger["metadata"], each.config("worker", tmp_path)
        assert metadata["consumerGroup"] == config.worker.app_id
        assert (metadata["topic"], scaled["maxReplicaCount"]) == (INFERENCE.name, INFERENCE.partitions)
        assert each.environment(each.pod("worker").own)[metadata["bootstrapServersFromEnv"]] == config.kafka.bootstrap
        assert "replicas" not in each.one("Deployment", "worker")["spec"], "else each apply would set it back"


@pytest.mark.parametrize(
    ("name", "kind", "sasl"), [("eks", "apache-kafka", "aws_msk_iam"), ("gke", "kafka", "plaintext")]
)
def test_what_scales_workers_shows_brokers_who_it_is(name: str, kind: str, sasl: str, tmp_path: Path) -> None:
    overlay = rendered(name)
    security = overlay.config("worker", tmp_path).kafka.security
    (trigger,) = overlay.one("ScaledObject", "worker")["spec"]["triggers"]
    assert security.sasl_mechanism == {"aws_msk_iam": "OAUTHBEARER", "plaintext": "PLAIN"}[sasl]
    assert (trigger["type"], trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == (kind, sasl, "enable")
    shown = overlay.one("TriggerAuthentication", trigger["authenticationRef"]["name"])["spec"]
    for each in shown.get("secretTargetRef", []):
        path = getattr(security, f"{each['parameter']}_file")
        assert (path.parent.name, path.name, each["name"]) == ("kafka", each["key"], "homeostat-kafka")
