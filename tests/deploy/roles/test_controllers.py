"""Two controllers on two hosts, as processes, with folders of their own and one real log: one looks after the engine,
and the other takes it over when that one is killed."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.config.toml import dump
from deploy.stack import ports
from streams.events import ReplicaAttested
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.topics import ATTESTATIONS
from tests.support.waiting import wait

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


class Vllm(http.server.BaseHTTPRequestHandler):
    """An engine without adapters."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"data": []}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def idle_vllm() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vllm)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class ControllerHost:
    """A host with a controller, which may be killed and started again."""

    def __init__(self, name: str, folder: Path, kafka: KafkaSettings, engine: str) -> None:
        self.name, self.folder = name, folder / name
        self.folder.mkdir()
        (port,) = ports.free(1)
        stack = {
            "var": str(self.folder / "var"),
            "embedded_kafka": False,
            "model_id": "llama@0123456789ab",
            "controller_metrics_port": port,
        }
        parts: dict[str, dict[str, object]] = {
            "stack": stack,
            "kafka": {"bootstrap": kafka.bootstrap},
            "controller": {"attest_every_s": 0.5},
        }
        text = dump(parts) + f'[engines."shared.engine"]\nurl = "{engine}"\n'
        (self.folder / "homeostat.toml").write_text(text)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "deploy.cli", "run", "controller"]
        environment = {**os.environ, "POD_NAME": self.name, "PYTHONPATH": str(ROOT)}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def test_one_looks_after_an_engine_and_the_other_takes_over_when_it_is_killed(
    kafka: KafkaSettings, idle_vllm: str, tmp_path: Path
) -> None:
    hosts = {name: ControllerHost(name, tmp_path, kafka, idle_vllm) for name in ("host-a", "host-b")}

    def attested() -> list[str]:
        records = read(kafka, ATTESTATIONS, ReplicaAttested)
        return [each.event.by.partition("@")[0] for each in records if each.event.replica == "shared.engine"]

    def settled() -> str:
        """Return who attests alone, several times in a row; empty while several do."""
        last = attested()[-6:]
        return last[0].removeprefix("controller/") if len(last) == 6 and len(set(last)) == 1 else ""

    try:
        for host in hosts.values():
            host.start()
        for _ in range(3):
            wait(settled, what="one of the two to attest alone")  # whichever: one that is held up loses the engine
            first = attested()[-1].removeprefix("controller/")
            (second,) = set(hosts) - {first}
            hosts[first].kill()
            wait(lambda name=second: settled() == name, what=f"{second} to take over")  # type: ignore[misc]
            hosts[first].start()
    finally:
        for host in hosts.values():
            host.kill()
    for host in hosts.values():
        assert "Traceback" not in (host.folder / "log").read_text()
