"""Each role, as a process, ends with 0 and in time when it is asked to while Kafka is away: else a supervisor would
take a rollout in an outage for a crash, and kill what it waits for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.config.settings import Config
from deploy.config.toml import dump
from deploy.doctor.alive import own_port
from deploy.roles.names import ROLES
from deploy.stack import ports
from deploy.stack.engine import answers_ok
from serving.gateway.access.keys import Key, entry
from tests.support.tiny_model import model
from tests.support.waiting import wait

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
GRACE_S = 25.0  # Kubernetes gives 30
WORKING_S = 4.0  # from its first answer on: it has tried to reach Kafka by then, and tries again
ALONE = [role for role in ROLES if role != "shipper"]  # a gateway's child, ends with it


def keyed(path: Path) -> Path:
    path.write_text(entry(Key.of("team", "key", ["admin"])))
    path.chmod(0o600)
    return path


def written(role: str, folder: Path, brokers: str, port: int, clients: int) -> Path:
    """The role's configuration, without Kafka and without an engine. It answers probes at `port`."""
    key = own_port(role, Config())[0].partition(".")[2]
    stack = {
        "var": str(folder / "var"),
        "embedded_kafka": False,
        "gateway_port": clients,
        **({} if role == "replica" else {key: port}),
        **({"model": str(model(folder / "model"))} if role == "trainer" else {"model_id": "llama@0123456789ab"}),
    }
    parts: dict[str, dict[str, object]] = {
        "stack": stack,
        "kafka": {"bootstrap": brokers},
        "gateway": {"keys_file": str(keyed(folder / "keys.toml"))},
        "replica": {"metrics_port": port, "port": clients, "engine": "http://127.0.0.1:1"},
    }
    path = folder / "homeostat.toml"
    path.write_text(dump(parts) + '[engines.gpu0]\nurl = "http://127.0.0.1:1"\n')
    return path


@dataclass(frozen=True, slots=True)
class StartedRole:
    """A role's process, where it answers probes, and what it writes."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def seen(self) -> bool:
        return answers_ok(self.url) or self.process.poll() is not None


def started(role: str, folder: Path, brokers: str, port: int, clients: int) -> StartedRole:
    path = written(role, folder, brokers, port, clients)
    command = [sys.executable, "-m", "deploy.cli", "run", role, "--config", str(path)]
    with (log := folder / "log").open("wb") as file:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file, cwd=folder)
    return StartedRole(process, f"http://127.0.0.1:{port}/healthz", log)


@pytest.fixture(scope="module", params=["refuses", "says nothing"])
def brokers(request: pytest.FixtureRequest) -> Iterator[str]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if request.param == "says nothing":
            server.listen()
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="module")
def working(brokers: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, StartedRole]]:
    """All roles, each for itself and all at once: they have tried in vain for as long as each of them must."""
    free = ports.free(2 * len(ALONE))
    roles = {
        role: started(role, tmp_path_factory.mktemp(role), brokers, *free[2 * i : 2 * i + 2])
        for i, role in enumerate(ALONE)
    }
    try:
        for role, each in roles.items():
            wait(lambda each=each: each.seen, what=f"{role} to answer")  # type: ignore[misc]
        time.sleep(WORKING_S)
        yield roles
    finally:
        for each in roles.values():
            each.process.kill()
            each.process.wait()


@pytest.mark.parametrize("role", ALONE)
def test_a_role_ends_well_and_in_time_without_kafka(role: str, working: dict[str, StartedRole]) -> None:
    process, log = working[role].process, working[role].log
    assert process.poll() is None, log.read_text()
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=GRACE_S)
    assert (code, "Traceback" in log.read_text()) == (0, False), log.read_text()
