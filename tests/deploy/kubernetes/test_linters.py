"""Each overlay by the programs of others: Kubernetes' own schemas, and checkov's rules of security. They have an
environment of their own, which `make test-system` makes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.kubernetes.rendered import FOLDER, OVERLAYS, rendered

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
BIN = Path(os.environ.get("HOMEOSTAT_LINTERS", FOLDER.parents[1] / "var" / "linters")) / "bin"
VERSION = "1.34"
OPERATORS = ("monitoring.coreos.com/", "keda.sh/", "kueue.x-k8s.io/")  # kinds that are not Kubernetes' own
SKIPPED = {
    "CKV_K8S_35": "keys of buckets and of MLflow are variables: their libraries read nothing else",
    "CKV_K8S_38": "the trainer starts Jobs: it alone has its account's token",
    "CKV_K8S_43": "images by digest are the operator's decision, in the overlay",
}


def program(name: str) -> Path:
    if not (BIN / name).exists():
        pytest.skip(f"{BIN / name} is missing: `make test-system` installs it")
    return BIN / name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_own_schemas_hold(overlay: str, tmp_path: Path) -> None:
    own = [each for each in rendered(overlay).objects if not each["apiVersion"].startswith(OPERATORS)]
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(own))
    command = [str(program("kubernetes-validate")), "--strict", "--version", VERSION, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_checkov_finds_nothing(overlay: str, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(rendered(overlay).objects))
    command = [str(program("checkov")), "--directory", str(tmp_path), "--framework", "kubernetes", "--output", "json"]
    command += ["--quiet", "--skip-download", "--skip-check", ",".join(SKIPPED)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["summary"]["passed"] > 100
    failed = found["results"]["failed_checks"]
    assert [f"{each['check_id']} {each['resource']}: {each['check_name']}" for each in failed] == []
