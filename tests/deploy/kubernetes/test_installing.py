"""Every command of the installation page, in order, from an empty API server to a stack that observes, then acts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.gateway.access.keys import KeyRing
from tests.deploy.kubernetes.rendered import FOLDER, rendered
from tests.support.api_server import ApiServer, missing, serving

pytestmark = [pytest.mark.system, pytest.mark.k8s, pytest.mark.timeout(900)]
PAGE = FOLDER.parents[1] / "docs" / "installing.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text().partition("## Kubernetes")[2], re.DOTALL | re.MULTILINE)
COMMANDS = [line for kind, block in BLOCKS if kind == "console" for line in block.splitlines()]
PODS_NEEDED = ("kubectl -n homeostat exec ", "kubectl -n homeostat port-forward ")
NAMED = "homeostat-(signing|replica|keys|admin)"


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[ApiServer]:
    """An API server that nothing was applied to."""
    if why := missing():
        pytest.skip(why)
    with serving(tmp_path) as server:
        yield server


def run(lines: list[str], folder: Path, server: ApiServer) -> str:
    """Type these lines into a shell; the first that fails ends it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "KUBECONFIG": str(server.kubeconfig), "PATH": path}
    script = "\n".join(["set -euo pipefail", *lines])
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_command_of_the_page_works_in_its_order(empty: ApiServer, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(FOLDER, checkout / "deploy" / "kubernetes")
    printed = run(COMMANDS, checkout, empty)
    for each in rendered("minimal").objects:
        kind, name = each["kind"].lower(), each["metadata"]["name"]
        if kind != "configmap":  # of which the second apply made another
            assert f"{kind}" in empty.kubectl("-n", "homeostat", "get", kind, name, "-o", "jsonpath={.kind}").lower()
    secrets = empty.kubectl("-n", "homeostat", "get", "secrets", "-o", "name")
    assert set(re.findall(NAMED, secrets)) == {"signing", "replica", "keys", "admin"}
    assert re.search(r"^[A-Za-z0-9+/]{43}=$", printed, re.MULTILINE), "the side-cars' public key"
    assert "HOMEOSTAT__POLICY__MODE: act" in run(["kubectl kustomize deploy/kubernetes/overlays/mine"], checkout, empty)
    keys = checkout / "secrets" / "keys.toml"
    assert tomllib.loads(keys.read_text())["operator"]["scopes"] == ["admin"]
    key = re.search(r"^key: (\S+)$", (checkout / "secrets" / "operator.txt").read_text(), re.MULTILINE)
    assert key is not None
    assert KeyRing([], keys).authorise(f"Bearer {key[1]}", "admin").id == "operator"
    for name in ("current", "mask"):
        assert len((checkout / "secrets" / name).read_text().strip()) >= 43


def test_the_page_shows_what_is_needed_from_an_empty_cluster_on() -> None:
    assert COMMANDS[0] == "kubectl apply -f deploy/kubernetes/base/namespace.yaml"
    assert [line for line in COMMANDS if line.startswith("kubectl apply -k")]
    assert len(COMMANDS) > 15
    left = [line for kind, block in BLOCKS if kind not in ("console", "toml") for line in block.splitlines()]
    assert all(line.startswith(PODS_NEEDED) for line in left), "these no test runs"
