"""Capture never hurts serving: the broker and the gateway are killed while clients ask. Real Kafka, real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.config import secrets
from deploy.config.settings import Config
from deploy.config.settings import load as load_config
from deploy.config.toml import dump
from deploy.stack import ports, processes
from deploy.stack.kafka import EmbeddedKafka
from deploy.stack.settings import cache_folder
from deploy.stack.topics import create_topics
from streams.events import InferenceServed, ReplicaAttested, RouteWritten
from streams.log.append import Writer
from streams.log.read import read
from streams.topics import ATTESTATIONS, INFERENCE, ROUTES
from tests.serving.support.load import Sample, request, run
from tests.support.waiting import wait

pytestmark = pytest.mark.kafka
DIGEST = "a" * 64
VERSION = f"support-{DIGEST[:12]}"
BODY = {"model": "support", "messages": [{"role": "user", "content": "Where is my card?"}]}


class OutageStack:
    """A broker, an engine that answers at once, and a gateway; each may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        broker_port, gateway, admin, self.engine = ports.free(4)
        stack = {"kafka_port": broker_port, "gateway_port": gateway, "gateway_admin_port": admin, "var": str(folder)}
        self.path = folder / "homeostat.toml"
        self.path.write_text(dump({"stack": stack}))
        self.config: Config = load_config(self.path, {})
        self.broker = EmbeddedKafka(folder / "kafka", broker_port, cache_folder())
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        self.broker.start()
        create_topics(self.broker.settings)
        self.child("engine", "tests.serving.support.upstream", str(self.engine), VERSION)
        self.start_gateway()
        now_ms = time.time_ns() // 1_000_000
        writer = Writer(self.config.kafka, "test")
        writer.append(ATTESTATIONS, self.attestation(now_ms), id="a", time_ms=now_ms)
        writer.append(ROUTES, self.route(now_ms), id="r", time_ms=now_ms)
        writer.close()
        wait(self.ready)

    def kill_broker(self) -> None:
        child = processes.find(self.broker.name, self.broker.data_dir)
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        wait(lambda: processes.find(self.broker.name, self.broker.data_dir) is None)

    def start_gateway(self) -> None:
        self.child("gateway", "deploy.cli", "run", "gateway", "--config", str(self.path))

    def child(self, name: str, *arguments: str) -> None:
        self.children[name] = subprocess.Popen([sys.executable, "-m", *arguments], stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        for child in self.children.values():
            child.terminate()
            child.wait(90)
        self.broker.stop()

    def ready(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self.config.stack.gateway_admin_port}/readyz"
            return bool(urllib.request.urlopen(url, timeout=1).status == 200)
        except OSError:
            return False

    def ask(self, count: int, clients: int = 4) -> Sample:
        data = request("/v1/chat/completions", BODY, secrets.api_key(self.config))
        return asyncio.run(run(self.config.stack.gateway_port, data, count, clients))

    def events(self) -> list[str]:
        return [record.event.id for record in read(self.config.kafka, INFERENCE, InferenceServed)]

    def route(self, now_ms: int) -> RouteWritten:
        return RouteWritten(
            alias="support", generation=1, champion=VERSION, adapters={VERSION: DIGEST}, time_ms=now_ms, by="test"
        )

    def attestation(self, now_ms: int) -> ReplicaAttested:
        return ReplicaAttested(
            replica="engine-0",
            url=f"http://127.0.0.1:{self.engine}",
            time_ms=now_ms,
            healthy=True,
            base_model="base",
            versions={VERSION: DIGEST},
            generations={},
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutageStack]:
    made = OutageStack(tmp_path_factory.mktemp("outage"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_a_killed_broker_fails_no_reply_and_loses_no_event(place: OutageStack) -> None:
    before = place.ask(50)
    wait(lambda: len(place.events()) == 50)
    place.kill_broker()
    during = place.ask(300)
    place.broker.start()
    after = place.ask(50)
    assert [sample.failed for sample in (before, during, after)] == [0, 0, 0]
    wait(lambda: len(place.events()) >= 400)
    found = place.events()
    assert (len(found), len(set(found))) == (400, 400)


def test_a_slow_start_of_the_broker_keeps_the_last_known_routes(place: OutageStack) -> None:
    """A gateway that starts while Kafka is away serves what it served before."""
    place.kill_broker()
    gateway = place.children["gateway"]
    gateway.send_signal(signal.SIGKILL)
    gateway.wait()
    place.start_gateway()
    wait(place.ready)
    sample = place.ask(20)
    place.broker.start()
    assert sample.failed == 0
    wait(lambda: len(place.events()) >= 420)


def test_a_gateway_asked_to_end_answers_what_it_has_begun(place: OutageStack) -> None:
    async def scene() -> Sample:
        body = {**BODY, "stream": True, "pace_ms": 100}
        data = request("/v1/chat/completions", body, secrets.api_key(place.config))
        asking = asyncio.create_task(run(place.config.stack.gateway_port, data, 4, 4))
        await asyncio.sleep(0.4)
        os.kill(place.children["gateway"].pid, signal.SIGTERM)
        return await asking

    before = len(place.events())
    sample = asyncio.run(scene())
    assert (sample.failed, len(sample.ms)) == (0, 4)
    place.children["gateway"].wait(90)
    wait(lambda: len(place.events()) == before + 4)
    place.start_gateway()
    wait(place.ready)
