"""`deploy/compose.yaml` as podman-compose reads it; that its values fit the settings, `tests/deploy/images` asks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.roles.names import ROLES
from tests.deploy.images.composed import GIVEN
from tests.system.images.composition import COMPOSE
from tests.system.images.containers import ROOT, environment

pytestmark = [pytest.mark.system, pytest.mark.images, pytest.mark.timeout(600)]

OTHERS = {"kafka", "topics", "s3", "bucket", "postgres", "mlflow", "prometheus", "grafana"}


def read(folder: Path, profile: str, given: dict[str, str]) -> subprocess.CompletedProcess[str]:
    file = folder / "site.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    about = ["-f", str(ROOT / "deploy" / "compose.yaml"), "--env-file", str(file), "--profile", profile]
    command = [str(COMPOSE), *about, "config", "--services"]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_each_profile_has_every_role_and_all_that_they_need(profile: str, tmp_path: Path) -> None:
    done = read(tmp_path, profile, GIVEN)
    assert done.returncode == 0, done.stderr
    roles = {role for role in ROLES if role not in ("shipper", "trainer")}
    assert set(done.stdout.split()) == OTHERS | roles | {f"vllm-{profile}", f"trainer-{profile}"}


@pytest.mark.parametrize("name", GIVEN)
def test_a_variable_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    done = read(tmp_path, "cpu", {each: value for each, value in GIVEN.items() if each != name})
    assert done.returncode != 0
    assert name in done.stdout + done.stderr
