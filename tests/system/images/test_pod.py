"""The gateway's pod of `deploy/kubernetes`, run by `podman kube play`: its image, settings, mounts and rights fit."""

from __future__ import annotations

import os
import secrets
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from serving.gateway.access.keys import Key, entry
from tests.deploy.kubernetes.rendered import Json, rendered
from tests.support.waiting import wait
from tests.system.images.containers import podman

pytestmark = [pytest.mark.system, pytest.mark.images, pytest.mark.timeout(3_600)]

GROUP = 65532


def mounted(folder: Path, files: dict[str, str]) -> Json:
    """A Secret's volume as a kubelet makes it for a pod with fsGroup; podman 4.3 writes Secrets undecoded."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o440)
        os.chown(folder / name, 0, GROUP)
    return {"hostPath": {"path": str(folder), "type": "Directory"}}


def as_pod(folder: Path, image: str, name: str) -> list[Json]:
    """What a StatefulSet's controller makes of it: a pod and its claim; podman plays no StatefulSet."""
    overlay = rendered("minimal")
    owner = overlay.one("StatefulSet", "gateway")
    template, (claim,) = owner["spec"]["template"], owner["spec"]["volumeClaimTemplates"]
    (own,) = template["spec"]["containers"]
    own |= {"image": image, "imagePullPolicy": "Never"}
    given = {
        "homeostat-signing": {"current": secrets.token_hex(32), "mask": secrets.token_hex(32)},
        "homeostat-keys": {"keys.toml": entry(Key.of("team", "key"))},
        "homeostat-kafka": {},  # optional
    }
    volumes = [
        {"name": each["name"]} | mounted(folder / each["name"], given[each["secret"]["secretName"]])
        if "secret" in each
        else each
        for each in template["spec"]["volumes"]
    ]
    kept = {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": f"{name}-var"}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": template["metadata"]["labels"]},
        "spec": template["spec"] | {"volumes": [*volumes, kept]},
    }
    claimed = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"{name}-var"},
        "spec": claim["spec"],
    }
    return [*overlay.of("ConfigMap"), claimed, pod]


@pytest.fixture
def played(tmp_path: Path, image_of: Callable[[str], str]) -> Iterator[str]:
    """The name of the pod's container."""
    name = f"gateway-{uuid.uuid4().hex[:6]}"
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump_all(as_pod(tmp_path / "secrets", image_of("gateway"), name)))
    podman("network", "create", name)
    try:
        podman("kube", "play", "--network", name, str(file))
        yield f"{name}-homeostat"
    finally:
        podman("pod", "rm", "-f", "-t", "20", name, check=False)
        podman("kube", "down", str(file), check=False)
        podman("volume", "rm", "-f", f"{name}-var", check=False)
        podman("network", "rm", name, check=False)


def test_the_gateways_pod_lives_and_says_what_it_lacks(played: str) -> None:
    def said(path: str) -> str:
        asked = f"""
import urllib.error, urllib.request
try:
    print(urllib.request.urlopen("http://127.0.0.1:9101/{path}", timeout=5).read().decode())
except urllib.error.HTTPError as error:
    print(error.read().decode())
"""
        return podman("exec", played, "python3", "-c", asked, check=False)

    wait(lambda: said("healthz"), f"the pod: {podman('logs', played, check=False)}", 120)
    assert "no route yet" in said("readyz")
    assert [podman("exec", played, "id", each) for each in ("-u", "-g")] == ["65532", "65532"]
    assert int(podman("exec", played, "grep", "CapEff", "/proc/1/status").split()[1], 16) == 0
    assert "Read-only file system" in podman("exec", played, "sh", "-c", "touch /etc/mine 2>&1 || true")
    assert podman("exec", played, "sh", "-c", "ls /var/lib/homeostat").split()
    podman("stop", "-t", "60", played)
    assert podman("inspect", "--format", "{{.State.ExitCode}}", played) == "0", podman("logs", played, check=False)
