"""A gateway process and its signals, Kafka being away: SIGHUP reads the certificate again, SIGTERM ends it in time."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from deploy.config import secrets
from deploy.config.settings import load as load_config
from deploy.config.toml import dump
from deploy.stack import ports
from serving.routes.follower import Snapshot
from streams.events import ReplicaAttested, RouteWritten
from tests.serving.support.certificates import Certificates
from tests.serving.support.raw_engine import RawEngine, Visit, saying
from tests.serving.support.scene import BODY, OLD, OLD_DIGEST
from tests.serving.support.wire import Wire, asking, wired

pytestmark = pytest.mark.slow
WITHIN_S = 25.0  # what an orchestrator allows before it kills


class Process:
    """The gateway as a process of its own; its only engine never answers."""

    def __init__(self, folder: Path, engine: RawEngine) -> None:
        self.port, admin = ports.free(2)
        self.health = f"http://127.0.0.1:{admin}/healthz"
        self.certificates = Certificates(folder)
        stack = {
            "var": str(folder / "var"),
            "gateway_port": self.port,
            "gateway_admin_port": admin,
            "embedded_kafka": False,
        }
        own = {"tls_cert": str(self.certificates.cert), "tls_key": str(self.certificates.key), "default_key": True}
        path = folder / "homeostat.toml"
        path.write_text(dump({"stack": stack, "gateway": own, "kafka": {"bootstrap": "127.0.0.1:1"}}))
        route = RouteWritten(
            alias="support", generation=1, champion=OLD, adapters={OLD: OLD_DIGEST}, time_ms=1, by="test"
        )
        attested = ReplicaAttested(
            replica="engine-0",
            url=engine.url,
            time_ms=1,
            healthy=True,
            base_model="base",
            versions={OLD: OLD_DIGEST},
            generations={},
        )
        known = folder / "var" / "routes" / "gateway.json"
        known.parent.mkdir(parents=True, mode=0o700)
        known.write_bytes(msgspec.json.encode(Snapshot([route], [attested])))
        self.key = secrets.api_key(load_config(path, {}))
        command = [sys.executable, "-m", "deploy.cli", "run", "gateway", "--config", str(path)]
        with (folder / "log").open("wb") as log:
            self.child = subprocess.Popen(command, stderr=log)

    def alive(self) -> bool:
        with suppress(OSError):
            return bool(urllib.request.urlopen(self.health, timeout=1).status == 200)
        return False


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Process]:
    async with saying(Visit.gone) as engine:
        process = Process(tmp_path, engine)
        try:
            async with asyncio.timeout(60):
                while not await asyncio.to_thread(process.alive):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            yield process
        finally:
            process.child.kill()
            process.child.wait()


def chat(key: str, *headers: str) -> bytes:
    return asking("/v1/chat/completions", json.dumps(BODY).encode(), *headers, key=key)


async def connected(port: int, tls: ssl.SSLContext) -> Wire:
    async with asyncio.timeout(20):
        while True:
            with suppress(OSError):
                return Wire(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))
            await asyncio.sleep(0.1)


async def test_sigterm_is_done_in_time_with_requests_under_way_and_events_that_kafka_does_not_take(
    gateway: Process,
) -> None:
    wire = await connected(gateway.port, gateway.certificates.client())
    wire.send(chat(gateway.key, "x-homeostat-timeout-ms: 200"))
    assert (await wire.answer()).status == 504
    wire.send(chat(gateway.key))
    await asyncio.sleep(0.5)
    gateway.child.send_signal(signal.SIGTERM)
    began_s = time.monotonic()
    async with asyncio.timeout(20):
        status, headers = await wire.head()
        assert (status, headers["connection"]) == (503, "close")
    assert await asyncio.to_thread(gateway.child.wait, WITHIN_S + 20) == 0
    assert time.monotonic() - began_s < WITHIN_S


async def test_sighup_reads_the_certificate_again(gateway: Process, tmp_path: Path) -> None:
    wire = await connected(gateway.port, gateway.certificates.client())
    wire.hang_up()
    folder = tmp_path / "new"
    folder.mkdir()
    new = Certificates(folder)
    gateway.certificates.cert.write_bytes(new.cert.read_bytes())
    gateway.certificates.key.write_bytes(new.key.read_bytes())
    gateway.child.send_signal(signal.SIGHUP)
    async with asyncio.timeout(20):
        while True:
            with suppress(ssl.SSLError):
                async with wired(gateway.port, new.client()) as again:
                    again.send(asking("/v1/models", b"", method="GET", key=gateway.key))
                    assert (await again.answer()).status == 200
                    break
            await asyncio.sleep(0.1)
    assert gateway.child.poll() is None
