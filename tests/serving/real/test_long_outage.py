"""Kafka stays away for longer than an attestation may be old, under load. HOMEOSTAT_OUTAGE_S=600 makes it ten minutes.

Real Kafka, real processes; two engines that answer at once, and a process that attests for them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from kafka.errors import KafkaError

from deploy.demo.stack import counter
from deploy.stack import ports
from streams.events import ReplicaAttested
from streams.log.append import Writer
from streams.topics import ATTESTATIONS
from tests.serving.real.test_outage import VERSION, OutageStack
from tests.support.waiting import wait

OUTAGE_S = float(os.environ.get("HOMEOSTAT_OUTAGE_S", "25"))
STALE_S = 15.0  # as `serving.routes.attestations` has it for what attests each second
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(OUTAGE_S + 240)]


class GatewayAndReplica(OutageStack):
    """Another engine next to the first, and an attester that can forget one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (self.other,) = ports.free(1)
        self.attested = {"engine-0", "engine-1"}
        self._ended = threading.Event()
        self._attester = threading.Thread(target=self._attest, daemon=True)

    def start(self) -> None:
        super().start()
        self.child("other", "tests.serving.support.upstream", str(self.other), VERSION)
        self._attester.start()
        wait(lambda: self.healthy("engine-0") == self.healthy("engine-1") == 1)

    def stop(self) -> None:
        self._ended.set()
        self._attester.join(40)
        super().stop()

    def healthy(self, replica: str) -> int:
        return counter(self.config.stack.gateway_admin_port, "homeostat_replica_healthy", replica=replica)

    def connected(self, client: str) -> int:
        return counter(self.config.stack.gateway_admin_port, "homeostat_kafka_connected", client=client)

    def kill(self, name: str) -> None:
        self.children[name].send_signal(signal.SIGKILL)
        self.children[name].wait()

    def _attest(self) -> None:
        writer = Writer(self.config.kafka, "attester")
        while not self._ended.wait(1.0):
            for name in sorted(self.attested):
                now_ms = time.time_ns() // 1_000_000
                event = msgspec.structs.replace(self.attestation(now_ms), replica=name, url=self.url(name))
                with suppress(KafkaError):
                    self._append(writer, event)
        writer.close()

    def _append(self, writer: Writer, event: ReplicaAttested) -> None:
        writer.append(ATTESTATIONS, event, id=f"{event.replica}/{event.time_ms}", time_ms=event.time_ms)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.engine if name == 'engine-0' else self.other}"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[GatewayAndReplica]:
    made = GatewayAndReplica(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_a_long_outage_fails_no_reply_and_a_dead_replica_is_seen_with_kafka_and_without(
    pair: GatewayAndReplica,
) -> None:
    asked, failed = 50, pair.ask(50).failed
    pair.attested = {"engine-0"}  # it dies with the process that attests for it
    pair.kill("other")
    wait(lambda: pair.healthy("engine-1") == 0, most_s=STALE_S + 90)
    sample = pair.ask(100)
    asked, failed = asked + 100, failed + sample.failed
    pair.child("other", "tests.serving.support.upstream", str(pair.other), VERSION)
    pair.attested = {"engine-0", "engine-1"}
    wait(lambda: pair.healthy("engine-1") == 1)
    assert (pair.connected("gateway"), pair.connected("shipper")) == (1, 1)

    pair.kill_broker()
    ends, killed = time.monotonic() + OUTAGE_S, False
    while time.monotonic() < ends:
        sample = pair.ask(100)
        asked, failed = asked + 100, failed + sample.failed
        if not killed and time.monotonic() > ends - OUTAGE_S / 3:
            assert (pair.healthy("engine-0"), pair.healthy("engine-1"), pair.ready()) == (1, 1, True)
            pair.kill("other")
            killed = True
        time.sleep(max(0.2, OUTAGE_S / 300))  # the journal has its bound
    assert (pair.connected("gateway"), pair.connected("shipper")) == (0, 0)
    assert (failed, pair.healthy("engine-0"), pair.healthy("engine-1"), pair.ready()) == (0, 1, 0, True)

    pair.broker.start()
    wait(lambda: pair.connected("gateway") == pair.connected("shipper") == 1)
    sample = pair.ask(50)
    assert (failed + sample.failed, pair.ready(), pair.healthy("engine-0")) == (0, True, 1)
    wait(lambda: len(pair.events()) >= asked + 50)
    print(f"{asked + 50} requests, {OUTAGE_S:g} s without Kafka, none failed", file=sys.stderr)
