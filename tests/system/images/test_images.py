"""The images, built and run for real without a daemon: their sizes, and each role with a root that it may not write.

BASE names what they stand on; without it that is Debian's own Python, made once with mmdebstrap and kept."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.config.settings import Config
from deploy.doctor.alive import own_port
from deploy.roles.names import ROLES
from serving.gateway.access.keys import Key, entry
from tests.support.tiny_model import model
from tests.support.waiting import wait
from tests.system.images.containers import CONFINED, podman, size_mb

pytestmark = [pytest.mark.system, pytest.mark.images, pytest.mark.timeout(3_600)]

MOST_MB = {"gateway": 170, "replica": 170, "worker": 560, "renderer": 950, "admin": 6_500, "trainer": 7_700}
IMAGES = {role: {"controller": "gateway", "storage": "worker"}.get(role, role) for role in ROLES if role != "shipper"}
LIBRARIES = {  # that only work finds missing, and that are imported late
    "gateway": "obstore.store, opentelemetry.sdk.trace, jwt, uvloop",
    "worker": "faust, whylogs, pandas, pyarrow.dataset, pyarrow.parquet, deltalake, rouge_score.rouge_scorer, nltk",
    "renderer": "evidently.presets, evidently.metrics, evidently.descriptors, plotly.graph_objs",
    "trainer": "torch, transformers, peft, bitsandbytes, trl, mlflow, vllm.entrypoints.openai.api_server, vllm._C",
    "admin": "torch, transformers, peft, mlflow, grafana_client, faust, aiohttp.web",
}
ASK = """
import urllib.error, urllib.request
try:
    print(urllib.request.urlopen("http://127.0.0.1:{port}/readyz", timeout=5).read().decode())
except urllib.error.HTTPError as error:
    print(error.read().decode())
"""


@pytest.mark.parametrize("target", MOST_MB)
def test_an_image_is_no_larger_than_it_may_be(target: str, base: str, image_of: Callable[[str], str]) -> None:
    """Above the base."""
    above = size_mb(image_of(target)) - size_mb(base)
    print(f"\n{target}: {above:.0f} MB above the base, at most {MOST_MB[target]}")
    assert above <= MOST_MB[target]


@pytest.mark.parametrize("target", MOST_MB)
def test_an_image_has_a_bill_of_what_is_in_it(target: str, image_of: Callable[[str], str]) -> None:
    asked = ("run", "--rm", *CONFINED, "--entrypoint=cat", image_of(target), "/opt/homeostat/sbom.cdx.json")
    bill = json.loads(podman(*asked))
    assert bill["bomFormat"] == "CycloneDX"
    listed = {re.sub("[-_.]+", "-", each["name"]).lower() for each in bill["components"]}
    assert {"homeostat", "msgspec", "cryptography"} <= listed
    there = podman("run", "--rm", *CONFINED, "--entrypoint=sh", image_of(target), "-c", "ls /opt/homeostat/lib/*/*/")
    installed = re.findall(r"^(.+?)-[^-]+\.dist-info", there, re.MULTILINE)
    assert {re.sub("[-_.]+", "-", each).lower() for each in installed} == listed


@pytest.mark.parametrize("target", LIBRARIES)
def test_an_image_has_its_libraries_whole(target: str, image_of: Callable[[str], str]) -> None:
    asked = ("run", "--rm", *CONFINED, "--tmpfs=/tmp", "--entrypoint=python3", image_of(target))
    assert podman(*asked, "-c", f"import {LIBRARIES[target]}; print('whole')").endswith("whole")


@dataclass(frozen=True)
class Running:
    """A role alone in its container, without rights, with an empty volume, and with Kafka away."""

    role: str
    name: str

    def ask(self, *command: str, check: bool = True) -> str:
        return podman("exec", self.name, *command, check=check)

    @property
    def lacks(self) -> str:
        """What it says to whoever asks whether it is ready."""
        return self.ask("python3", "-c", ASK.format(port=own_port(self.role, Config())[1]))


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What roles are given: a small model, and a key that admits somebody."""
    folder = tmp_path_factory.mktemp("given")
    model(folder / "model")
    (folder / "keys.toml").write_text(entry(Key.of("team", "key", ["admin"])))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (folder / "keys.toml").chmod(0o600)
    os.chown(folder / "keys.toml", 65532, 65532)
    return folder


@pytest.fixture
def container(role: str, image_of: Callable[[str], str], mounted: Path) -> Iterator[Running]:
    name = f"homeostat-{uuid.uuid4().hex[:8]}"
    given = {
        "HOMEOSTAT__KAFKA__BOOTSTRAP": "127.0.0.1:1",
        "HOMEOSTAT__GATEWAY__DEFAULT_KEY": "true",
        "HOMEOSTAT__STACK__MODEL": "/given/model",
        "HOMEOSTAT__ENGINES": '{"gpu0": {"url": "http://127.0.0.1:1"}}',
        "HOMEOSTAT__REPLICA__ENGINE": "http://127.0.0.1:1",
        "HOMEOSTAT__REPLICA__ADDRESS": "http://replica:8200",
    }
    if role == "admin":
        given["HOMEOSTAT__GATEWAY__KEYS_FILE"] = "/given/keys.toml"
    volumes = ("-v", f"{name}-var:/var/lib/homeostat", "-v", f"{name}-tmp:/tmp", "-v", f"{mounted}:/given:ro")
    named = [f"--env={variable}={value}" for variable, value in given.items()]
    command = () if role == IMAGES[role] else ("run", role)
    limits = ("--memory=2g", "--network=none")
    podman("run", "-d", "--name", name, *CONFINED, *limits, *volumes, *named, image_of(IMAGES[role]), *command)
    try:
        yield Running(role, name)
    finally:
        podman("rm", "-f", "-t", "20", name, check=False)
        podman("volume", "rm", f"{name}-var", f"{name}-tmp", check=False)


@pytest.mark.parametrize("role", IMAGES)
def test_a_role_lives_without_rights_on_an_empty_disk(container: Running) -> None:
    role = container.role
    alive = f"{role} is alive"
    wait(lambda: container.ask("homeostat", "health", role, check=False) == alive, f"{role} in its container", 120)
    lacks = {"admin": "ok", "storage": "ready", "gateway": "no route yet"}.get(role, "Kafka at 127.0.0.1:1")
    assert lacks in container.lacks
    assert container.ask("id", "-u") == "65532"
    assert "Read-only file system" in container.ask("sh", "-c", "touch /opt/homeostat/mine 2>&1 || true")
    assert int(container.ask("grep", "CapEff", "/proc/1/status").split()[1], 16) == 0
    podman("stop", "-t", "60", container.name)
    ended = podman("inspect", "--format", "{{.State.ExitCode}}", container.name)
    assert ended == "0", podman("logs", container.name, check=False)
