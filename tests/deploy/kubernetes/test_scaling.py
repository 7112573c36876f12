"""Who brokers in a cloud are told we are: by the roles, and by KEDA, which makes workers by their group's lag."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from streams.log.security.tokens import parsed
from streams.topics import INFERENCE
from tests.deploy.kubernetes.rendered import FOLDER, rendered

pytestmark = pytest.mark.system

SIGNER = """
class MSKAuthTokenProvider:
    @staticmethod
    def generate_auth_token(region):
        return f"signed-for-{region}", NOW_MS + 900_000
"""


def test_the_token_command_of_msk_prints_a_token_with_its_end_and_the_page_shows_the_same(tmp_path: Path) -> None:
    """Amazon's signer stands in for itself: it is not installed here."""
    (tmp_path / "aws_msk_iam_sasl_signer.py").write_text(SIGNER.replace("NOW_MS", str(time.time() * 1_000)))
    page = (FOLDER.parents[1] / "docs" / "kafka.md").read_text().partition("## MSK with IAM")[2]
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    shown = tomllib.loads(block)["kafka"]["security"]["token_command"]
    for command in (rendered("eks").config("worker", tmp_path).kafka.security.token_command, shown):
        assert command[0] == "python"
        here = [sys.executable, *command[1:]]
        done = subprocess.run(here, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, check=True)
        token = parsed(done.stdout, 0)
        assert token.text == "signed-for-eu-central-1"
        assert 600 < token.lasts_s <= 900


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
