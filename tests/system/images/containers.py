"""Images built and containers run without a daemon, by buildah, podman and runc, with settings of the tests' own."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]
KEPT = ROOT / "var" / "images"
MADE = "localhost/homeostat-base:bookworm"
PODMAN = "podman"
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


def environment() -> dict[str, str]:
    """Settings of this machine's own go before ours."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for name, text in SETTINGS.items():
        (KEPT / name).write_text(text.format(kept=KEPT))
    return {**{VARIABLES[name]: str(KEPT / name) for name in SETTINGS}, **os.environ}


def called(*command: str, check: bool = True, given: str = "") -> str:
    """What a command prints; raises with all of it where it fails."""
    done = subprocess.run(
        command, env=environment(), cwd=ROOT, capture_output=True, text=True, check=False, input=given or None
    )
    assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout.strip()


def podman(*arguments: str, check: bool = True, given: str = "") -> str:
    return called(PODMAN, *arguments, check=check, given=given)


def cleared() -> None:
    """Remove what builds left that were killed: each holds its layers, gigabytes."""
    called("buildah", "rm", "--all")


def based() -> str:
    """The name of what all images stand on: Debian's own Python, made once and kept, unless BASE names another."""
    if given := os.environ.get("BASE"):
        return given
    if not podman("images", "-q", MADE):
        packages = "--include=python3,python3-venv,ca-certificates"
        called("mmdebstrap", "--variant=minbase", packages, "bookworm", str(KEPT / "base.tar"))
        podman("import", str(KEPT / "base.tar"), MADE)
        (KEPT / "base.tar").unlink()
    return MADE


def built(target: str) -> str:
    """The image of a target, built now; layers are kept."""
    name = f"localhost/homeostat-{target}:test"
    mounts = [part for path in FROM_HERE if Path(path).exists() for part in ("-v", f"{path}:{path}:ro")]
    kind = ["--layers", "--isolation=oci", "--runtime=runc", "--network=host", "--format=docker"]
    chosen = [f"--build-arg=BASE={based()}", "--build-arg=ENGINE=cpu", f"--target={target}", "-t", name]
    began = time.monotonic()
    called("buildah", "bud", *kind, *mounts, *chosen, "-f", "deploy/images/Dockerfile", ".")
    print(f"\n{target}: built in {time.monotonic() - began:.0f} s")
    return name


def size_mb(image: str) -> float:
    return int(podman("image", "inspect", "--format", "{{.Size}}", image)) / 1e6
