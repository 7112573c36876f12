"""The Dockerfile and what it installs: each image from the lock, by hashes, and complete."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.cli import main
from deploy.config.settings import Config, load
from deploy.doctor.alive import own_port
from deploy.roles.names import ROLES
from tests.support.extras.hidden import brought

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "deploy" / "images"
FILES = {"gateway": ["serving"], "worker": ["streams"], "renderer": ["reports"]}
FILES |= {"admin": ["serving", "streams", "retrain", "dashboards"]}  # what its commands need
FILES |= {"trainer-cpu": ["retrain", "engine-cpu"], "trainer-gpu": ["retrain", "engine-gpu"]}
LOCKED = [name for name in FILES if name != "trainer-gpu"]  # the lock has vLLM for CPUs
DOCKERFILE = (IMAGES / "Dockerfile").read_text()
TARGETS = dict(re.findall(r"^FROM role(?:-\$\{ENGINE\})? AS (\w+)\n((?:(?!FROM ).*\n?)*)", DOCKERFILE, re.MULTILINE))


def pinned(text: str) -> list[Requirement]:
    return [Requirement(line.split(" \\")[0]) for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]


def requirements(name: str) -> list[Requirement]:
    return pinned((IMAGES / "requirements" / f"{name}.txt").read_text())


def here(found: list[Requirement]) -> set[str]:
    return {canonicalize_name(each.name) for each in found if each.marker is None or each.marker.evaluate()}


@pytest.mark.parametrize("name", LOCKED)
def test_versions_are_the_locks(name: str) -> None:
    locked = {
        (canonicalize_name(each.name), str(each.specifier)) for each in pinned((ROOT / "requirements.lock").read_text())
    }
    assert {(canonicalize_name(each.name), str(each.specifier)) for each in requirements(name)} <= locked


@pytest.mark.parametrize("name", ["gateway", "worker", "renderer", "admin"])
def test_an_image_has_all_that_its_extras_bring_and_nothing_else(name: str) -> None:
    assert here(requirements(name)) == set().union(*map(brought, FILES[name]))


@pytest.mark.parametrize("name", FILES)
def test_an_image_has_what_its_extras_name(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [Requirement(each) for extra in FILES[name] for each in project["optional-dependencies"][extra]]
    found = {canonicalize_name(each.name): each for each in requirements(name)}
    for each in (*map(Requirement, project["dependencies"]), *named):
        if each.name != project["name"]:
            (version,) = found[canonicalize_name(each.name)].specifier
            assert each.specifier.contains(version.version), each


@pytest.mark.parametrize("name", [*FILES, "tools"])
def test_every_version_has_hashes_and_no_address(name: str) -> None:
    text = (IMAGES / "requirements" / f"{name}.txt").read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text


def test_evidently_is_in_the_renderers_image_alone() -> None:
    assert [name for name in FILES if "evidently" in here(requirements(name))] == ["renderer"]


def test_every_target_runs_its_role_and_asks_its_health_at_its_port() -> None:
    assert set(TARGETS) == {"gateway", "worker", "renderer", "trainer", "replica", "admin"} <= set(ROLES)
    for role, text in TARGETS.items():
        assert f'CMD ["run", "{role}"]' in text
        assert f'CMD ["homeostat", "health", "{role}"]' in text
        assert str(own_port(role, Config())[1]) in re.findall(r"^EXPOSE (.*)$", text, re.MULTILINE)[0].split()


def test_nobody_is_root_and_nothing_is_kept_outside_volumes() -> None:
    assert re.search(r"^USER 65532:65532$", DOCKERFILE, re.MULTILINE)
    stages = re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)
    users = [re.findall(r"^USER (.*)$", stage, re.MULTILINE) for stage in stages]
    assert all(each[-1] == "65532:65532" for each in users if each)
    assert re.search(r"^    USER=homeostat ", DOCKERFILE, re.MULTILINE), "libraries that ask for a name end without one"
    assert 'VOLUME ["/var/lib/homeostat", "/tmp"]' in DOCKERFILE
    assert load(IMAGES / "homeostat.toml", {}).stack.var == Path("/var/lib/homeostat")


def test_a_role_that_is_not_there_is_not_alive(tmp_path: Path) -> None:
    config = tmp_path / "homeostat.toml"
    config.write_text("[stack]\nworker_metrics_port = 1\n")
    done = CliRunner().invoke(main, ["health", "worker", "--config", str(config)])
    assert (done.exit_code, done.output.strip()) == (1, "Error: worker does not answer /healthz at port 1")
