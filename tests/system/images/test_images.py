"""The images, built and run for real without a daemon: their sizes, and each role with a root that it may not write.

BASE names what they stand on; without it that is Debian's own Python, made once with mmdebstrap and kept."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack import ports
from tests.support.waiting import wait

pytestmark = [pytest.mark.system, pytest.mark.images, pytest.mark.timeout(3_600)]

ROOT = Path(__file__).parents[3]
KEPT = ROOT / "var" / "images"
MADE = "localhost/homeostat-base:bookworm"
MOST_MB = {"gateway": 170, "worker": 560}  # above the base
SETTINGS = {
    "containers.conf": """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
""",
    "storage.conf": '[storage]\ndriver = "overlay"\ngraphroot = "{kept}/storage"\nrunroot = "{kept}/run"\n',
    "registries.conf": "unqualified-search-registries = []\n",
}
VARIABLES = {
    "containers.conf": "CONTAINERS_CONF",
    "storage.conf": "CONTAINERS_STORAGE_CONF",
    "registries.conf": "CONTAINERS_REGISTRIES_CONF",
}
FROM_HERE = ("/etc/pip.conf", "/etc/ssl/certs")  # how this machine reaches its package index, for builds alone
CONFINED = ("--user=65532", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def called(*command: str, check: bool = True) -> str:
    """Settings of this machine's own go before ours."""
    made = {VARIABLES[name]: str(KEPT / name) for name in SETTINGS}
    done = subprocess.run(command, env={**made, **os.environ}, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout.strip()


@pytest.fixture(scope="session")
def base() -> str:
    KEPT.mkdir(parents=True, exist_ok=True)
    for name, text in SETTINGS.items():
        (KEPT / name).write_text(text.format(kept=KEPT))
    if given := os.environ.get("BASE"):
        return given
    if not called("podman", "images", "-q", MADE):
        packages = "--include=python3,python3-venv,ca-certificates"
        called("mmdebstrap", "--variant=minbase", packages, "bookworm", str(KEPT / "base.tar"))
        called("podman", "import", str(KEPT / "base.tar"), MADE)
    return MADE


@pytest.fixture(scope="session", params=MOST_MB)
def image(request: pytest.FixtureRequest, base: str) -> str:
    name = f"localhost/homeostat-{request.param}:test"
    mounts = [part for path in FROM_HERE if Path(path).exists() for part in ("-v", f"{path}:{path}:ro")]
    kind = ("--layers", "--isolation=oci", "--runtime=runc", "--network=host", "--format=docker")
    file = str(ROOT / "deploy" / "images" / "Dockerfile")
    called(
        "buildah",
        "bud",
        *kind,
        *mounts,
        f"--build-arg=BASE={base}",
        f"--target={request.param}",
        "-t",
        name,
        "-f",
        file,
        str(ROOT),
    )
    return name


def size_mb(image: str) -> float:
    return int(called("podman", "image", "inspect", "--format", "{{.Size}}", image)) / 1e6


def test_an_image_is_no_larger_than_it_may_be(image: str, base: str) -> None:
    role, above = image.rpartition("-")[2].removesuffix(":test"), size_mb(image) - size_mb(base)
    print(f"\n{role}: {above:.0f} MB above the base, at most {MOST_MB[role]}")
    assert above <= MOST_MB[role]


def test_an_image_has_a_bill_of_what_is_in_it(image: str) -> None:
    bill = json.loads(
        called("podman", "run", "--rm", *CONFINED, "--entrypoint=cat", image, "/opt/homeostat/sbom.cdx.json")
    )
    assert bill["bomFormat"] == "CycloneDX"
    assert {"homeostat", "msgspec", "cryptography"} <= {each["name"] for each in bill["components"]}


@pytest.fixture
def container(image: str) -> Iterator[tuple[str, int]]:
    """The image's role, with an empty volume, no rights and no Kafka; its name, and the port of its probes."""
    role, name = image.rpartition("-")[2].removesuffix(":test"), f"homeostat-{uuid.uuid4().hex[:8]}"
    port, clients = ports.free(2)
    key = "GATEWAY_ADMIN_PORT" if role == "gateway" else f"{role.upper()}_METRICS_PORT"
    given = {
        "HOMEOSTAT__KAFKA__BOOTSTRAP": "127.0.0.1:1",
        "HOMEOSTAT__GATEWAY__DEFAULT_KEY": "true",
        "HOMEOSTAT__STACK__GATEWAY_PORT": str(clients),
        f"HOMEOSTAT__STACK__{key}": str(port),
    }
    volumes = ("-v", f"{name}-var:/var/lib/homeostat", "-v", f"{name}-tmp:/tmp")
    named = [f"--env={variable}={value}" for variable, value in given.items()]
    called("podman", "run", "-d", "--name", name, *CONFINED, "--memory=1g", "--network=host", *volumes, *named, image)
    try:
        yield name, port
    finally:
        called("podman", "rm", "-f", "-t", "20", name, check=False)
        called("podman", "volume", "rm", f"{name}-var", f"{name}-tmp", check=False)


def test_a_role_lives_without_rights_on_an_empty_disk(container: tuple[str, int], image: str) -> None:
    name, _ = container
    role = image.rpartition("-")[2].removesuffix(":test")
    health = ("podman", "exec", name, "homeostat", "health", role)
    wait(lambda: called(*health, check=False) == f"{role} is alive", most_s=120, what=f"{role} in its container")
    assert called("podman", "exec", name, "id", "-u") == "65532"
    wrote = called("podman", "exec", name, "sh", "-c", "touch /opt/homeostat/mine 2>&1 || true")
    assert "Read-only file system" in wrote
    capabilities = called("podman", "exec", name, "grep", "CapEff", "/proc/1/status")
    assert int(capabilities.split()[1], 16) == 0
    called("podman", "stop", "-t", "60", name)
    assert called("podman", "inspect", "--format", "{{.State.ExitCode}}", name) == "0", called("podman", "logs", name)
