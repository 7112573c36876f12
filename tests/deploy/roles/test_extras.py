"""Each role starts with its own extra alone: what others need is hidden from it."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from deploy.config.toml import dump
from deploy.roles import names
from deploy.stack import ports
from streams.log.settings import KafkaSettings
from streams.topics import INFERENCE
from tests.deploy.images.test_dockerfile import FILES
from tests.streams.support import oracle
from tests.streams.support.lakes import at
from tests.streams.support.traffic import produce, served
from tests.support.tiny_model import model
from tests.support.waiting import wait

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
ROLES = {name: role.extra for name, role in names.ROLES.items()}
PORTS = {"gateway": "gateway_admin_port"}
ALONE = [role for role in ROLES if role not in ("shipper", "admin")]  # a gateway's child; not much without callers
OTHERS = {"streams.telemetry.export": ("serving", "retrain")}  # their roles send spans, and no worker does
ROOMS = {"serving": "serving", "streams": "streams", "retrain": "retrain", "dashboards": "dashboards"}


def alone(extra: str) -> dict[str, str]:
    path = f"{ROOT / 'tests' / 'support' / 'extras'}{os.pathsep}{ROOT}"
    return {**os.environ, "HOMEOSTAT_EXTRA": extra, "PYTHONPATH": path}


def imported(extra: str, modules: list[str]) -> str:
    """What goes wrong when they are imported; empty where nothing does."""
    code = f"import {', '.join(modules)}"
    done = subprocess.run([sys.executable, "-c", code], env=alone(extra), capture_output=True, text=True, check=False)
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


def named(path: Path) -> list[str]:
    """The modules that a module imports from, late ones included."""
    tree = ast.parse(path.read_text())
    return [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]


def test_what_is_hidden_is_what_the_extra_does_not_bring() -> None:
    assert "pyarrow" in imported("serving", ["pyarrow"])
    assert imported("streams", ["pyarrow"]) == imported("serving", ["aiohttp"]) == ""


@pytest.mark.parametrize("role", ROLES)
def test_a_role_finds_all_that_it_imports(role: str) -> None:
    modules = [
        "deploy.cli",
        "deploy.commands.stack",
        "deploy.roles.run",
        f"deploy.roles.{role}",
        *named(ROOT / "deploy" / "roles" / f"{role}.py"),
    ]
    assert imported(ROLES[role], modules) == ""


def test_commands_find_all_that_they_import_in_the_admins_image() -> None:
    modules = {
        module
        for folder in ("admin", "backtest", "commands", "operator", "show")
        for path in (ROOT / "deploy" / folder).rglob("*.py")
        for module in named(path)
    }
    assert imported(",".join(FILES["admin"]), sorted(modules)) == ""


@pytest.mark.parametrize("role", ALONE)
def test_the_doctor_looks_at_a_role_with_its_extra_alone(role: str) -> None:
    assert imported(ROLES[role], ["deploy.commands.demo", "deploy.doctor.standing"]) == ""


@pytest.mark.parametrize("room", ROOMS)
def test_every_module_of_a_room_can_be_imported_with_its_extra(room: str) -> None:
    paths = sorted((ROOT / room).rglob("*.py"))
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    assert imported(ROOMS[room], [each for each in modules if each not in OTHERS]) == ""


@pytest.mark.parametrize("module", OTHERS)
def test_a_module_for_other_rooms_can_be_imported_with_theirs(module: str) -> None:
    assert [imported(extra, [module]) for extra in OTHERS[module]] == [""] * len(OTHERS[module])


def started(role: str, extra: str, config: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "deploy.cli", "run", role, "--config", str(config)]
    with log.open("wb") as file:
        return subprocess.Popen(command, env=alone(extra), stdout=file, stderr=file, cwd=log.parent)


def answer(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=2) as told:
            return str(told.read().decode())
    except OSError:
        return ""


@pytest.fixture
def stack(tmp_path: Path) -> dict[str, object]:
    """Everything in a folder that is not there yet."""
    one, two, three = ports.free(3)
    return {
        "var": str(tmp_path / "not" / "there"),
        "gateway_port": one,
        "gateway_admin_port": two,
        "worker_metrics_port": three,
        "embedded_kafka": False,
    }


def test_the_gateway_starts_with_its_extra_alone_and_no_kafka(stack: dict[str, object], tmp_path: Path) -> None:
    config, log = tmp_path / "homeostat.toml", tmp_path / "gateway.log"
    own = {"default_key": True}
    config.write_text(dump({"stack": stack, "gateway": own, "kafka": {"bootstrap": "127.0.0.1:1"}}))
    process = started("gateway", "serving", config, log)
    try:
        url = f"http://127.0.0.1:{stack['gateway_admin_port']}/healthz"
        wait(lambda: answer(url) != "" or process.poll() is not None, what="the gateway")
        assert process.poll() is None, log.read_text()
        time.sleep(1)  # its shipper is a process of its own
        assert "ModuleNotFoundError" not in log.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def test_the_worker_works_with_its_extra_alone_where_no_folder_is_there_yet(
    stack: dict[str, object], tmp_path: Path, kafka: KafkaSettings
) -> None:
    config, log = tmp_path / "homeostat.toml", tmp_path / "worker.log"
    own = {"app_id": "extras"}
    config.write_text(dump({"stack": stack, "kafka": {"bootstrap": kafka.bootstrap}, "worker": own}))
    produce(kafka, INFERENCE, [served("extras", i) for i in range(20)])
    process = started("worker", "streams", config, log)
    try:
        root = Path(str(stack["var"])) / "lake"
        wait(lambda: oracle.rows(at(root), INFERENCE, "extras") == 20 or process.poll() is not None, what="rows")
        assert process.poll() is None, log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def status(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as told:
            return told.status, told.read().decode().strip()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode().strip()
    except OSError:
        return 0, ""


@pytest.mark.parametrize("role", ALONE)
def test_a_role_gets_ready_on_an_empty_disk_with_kafka_and_a_store_and_ends_when_asked(
    role: str, tmp_path: Path, empty_kafka: KafkaSettings
) -> None:
    """As its pod does: its own extra, a folder that is not there, POD_NAME. What it needs of others is an address."""
    port, clients = ports.free(2)
    key = PORTS.get(role, f"{role}_metrics_port")
    stack = {
        "var": str(tmp_path / "empty"),
        "embedded_kafka": False,
        "bind": "127.0.0.1",
        **({} if role == "replica" else {key: port}),
        "gateway_port": clients,
        **({"model": str(model(tmp_path / "model"))} if role == "trainer" else {"model_id": "llama@0123456789ab"}),
    }
    config, log = tmp_path / "homeostat.toml", tmp_path / "role.log"
    parts: dict[str, dict[str, object]] = {
        "stack": stack,
        "kafka": {"bootstrap": empty_kafka.bootstrap, "prefix": empty_kafka.prefix},
        "storage": {"url": (tmp_path / "store").as_uri()},
        "worker": {"app_id": f"alone-{role}"},
        "gateway": {"default_key": True},
        "replica": {"metrics_port": port, "port": clients, "engine": "http://127.0.0.1:1"},
    }
    config.write_text(dump(parts) + '[engines.gpu0]\nurl = "http://127.0.0.1:1"\n')
    process = started(role, ROLES[role], config, log)
    url = f"http://127.0.0.1:{port}"
    without = "no route yet: Kafka has none or does not answer; homeostat promote writes the first"
    ready = (503, without) if role == "gateway" else (200, "ready")
    try:
        wait(lambda: status(f"{url}/readyz") == ready or process.poll() is not None, what=f"{role} to be ready")
        assert process.poll() is None, log.read_text()
        assert status(f"{url}/healthz")[0] == 200
        assert "homeostat_" in status(f"{url}/metrics")[1]
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
    assert (code, "Traceback" in log.read_text()) == (0, False), log.read_text()
