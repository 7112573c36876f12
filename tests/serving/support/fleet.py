"""A broker, a gateway and two side-cars with an engine each that answers at once: processes, which may be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.stack import ports
from serving.routes.statement import public_text
from streams.events import ReplicaAttested
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.objects.settings import StorageSettings
from streams.topics import ATTESTATIONS
from tests.serving.support.adapter_files import BASE, store
from tests.serving.support.log_records import ALIAS, Records
from tests.serving.support.side_cars import KEY
from tests.serving.support.stack import Place
from tests.support.waiting import wait

POLL_S, STALE_S = 0.5, 2.0
ENGINE_S = 600.0  # a real one loads its libraries first
SETTINGS = {"replica_poll_s": POLL_S, "replica_stale_s": STALE_S}


@dataclass(slots=True)
class FleetMember:
    """One engine with its side-car. `off_s`: how wrong its clock is."""

    name: str
    engine_port: int
    port: int
    metrics_port: int
    off_s: float = 0.0
    engine: subprocess.Popen[bytes] | None = None
    side_car: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self) -> int:
        """How many questions of clients its engine got."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.engine_port}/asked", timeout=5) as reply:
            return int(json.load(reply).get("/v1/chat/completions", 0))


def _upstream(member: FleetMember) -> tuple[Sequence[str], Mapping[str, str]]:
    return (sys.executable, "-m", "tests.serving.support.upstream", str(member.engine_port)), {}


@dataclass(frozen=True, slots=True)
class EngineKind:
    """What answers behind the side-cars; by itself an engine that answers at once. `stack`: settings of that section.
    `ready`: of a port. `begin`: called once all engines are ready, before any side-car is."""

    command: Callable[[FleetMember], tuple[Sequence[str], Mapping[str, str]]] = _upstream
    ready: Callable[[int], bool] = ports.answers
    stack: Mapping[str, object] = field(default_factory=lambda: {"model_id": BASE})
    begin: Callable[[Sequence[int]], None] = lambda ports: None


@dataclass(slots=True)
class Fleet:
    """`adapters`: version -> digest, in the store."""

    place: Place
    members: list[FleetMember]
    adapters: dict[str, str] = field(default_factory=dict)
    kind: EngineKind = field(default_factory=EngineKind)

    def start_engines(self) -> None:
        """All at once; return when all are ready."""
        for member in self.members:
            command, environment = self.kind.command(member)
            with self._log(f"engine-{member.name}") as log:
                member.engine = subprocess.Popen(command, env={**os.environ, **environment}, stderr=log, stdout=log)
        for member in self.members:
            wait(lambda port=member.engine_port: self.kind.ready(port), "the engine", ENGINE_S)  # type: ignore[misc]
        self.kind.begin([member.engine_port for member in self.members])

    def start_side_car(self, member: FleetMember) -> None:
        own = {"NAME": member.name, "PORT": member.port, "METRICS_PORT": member.metrics_port}
        own |= {"ENGINE": f"http://127.0.0.1:{member.engine_port}", "KEY_FILE": self.place.folder / "replica.pem"}
        own |= {"DRAIN_DELAY_S": 2 * POLL_S}
        environment = {f"HOMEOSTAT__REPLICA__{key}": str(value) for key, value in own.items()}
        if self.place.config.storage.in_bucket:
            environment["HOMEOSTAT__STORAGE__CACHE"] = str(self.place.folder / f"cache-{member.name}")
        module = "tests.serving.support.side_car_process"
        command = [sys.executable, "-m", module, str(member.off_s), str(self.place.path)]
        with self._log(member.name) as log:
            member.side_car = subprocess.Popen(command, env={**os.environ, **environment}, stderr=log, stdout=log)

    def _log(self, name: str) -> IO[bytes]:
        logs = self.place.folder / "log"
        logs.mkdir(exist_ok=True)
        return (logs / f"{name}.log").open("ab")

    def kill(self, member: FleetMember) -> float:
        """`kill -9` its side-car; return when."""
        assert member.side_car is not None
        member.side_car.send_signal(signal.SIGKILL)
        at_s = time.monotonic()
        member.side_car.wait()
        return at_s

    def attested(self) -> dict[str, ReplicaAttested]:
        """The last record of each replica."""
        records = read(self.place.config.kafka, ATTESTATIONS, ReplicaAttested)
        return {record.event.replica: record.event for record in records}

    def stop(self) -> None:
        for member in self.members:
            for process in (member.side_car, member.engine):
                if process is not None and process.poll() is None:
                    process.kill()
                    process.wait()


@contextmanager
def fleet(
    folder: Path,
    clocks_off_s: tuple[float, float] = (0.0, 0.0),
    adapters: Mapping[str, str] | None = None,
    storage: StorageSettings | None = None,
    brokers: KafkaSettings | None = None,
    gateways: int = 1,
    kind: EngineKind | None = None,
) -> Iterator[Fleet]:
    """Both side-cars serve the first adapter, and the gateways are ready. `adapters`: those that are in the store, by
    version; None: two in the folder. `storage`: the bucket that they are in; each side-car has its own cache.
    `brokers`: those of others, with their topics; None: one of its own."""
    free = ports.free(6)
    members = [
        FleetMember(f"r{i}", free[3 * i], free[3 * i + 1], free[3 * i + 2], off_s)
        for i, off_s in enumerate(clocks_off_s)
    ]
    listed: dict[str, object] = {each.name: {"url": each.url, "public_key": public_text(KEY)} for each in members}
    kept: dict[str, object] = {"url": storage.url, "options": dict(storage.options)} if storage is not None else {}
    gateway: dict[str, object] = {**SETTINGS, "default_key": True}
    controller: dict[str, object] = {"drain_s": 0.5}
    sections = {"gateway": gateway, "replicas": listed, "controller": controller, "storage": kept}
    kind = kind or EngineKind()
    place = Place(folder, sections | _elsewhere(brokers) | {"stack": {**_stack(brokers, gateways), **kind.stack}})
    pem = folder / "replica.pem"
    pem.touch(mode=0o600)
    pem.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    stored = adapters or dict(store(folder, f"adapter {i}", ALIAS) for i in range(2))
    made = Fleet(place, members, dict(stored), kind)
    place.records = Records(place.config, made.adapters)
    try:
        with place.running(*(() if brokers else ("kafka",))):
            place.records.route(next(iter(made.adapters)))
            made.start_engines()
            for member in members:
                made.start_side_car(member)
            place.start(*place.config.stack.gateways())
            first = next(iter(made.adapters))
            wait(lambda: sum(first in each.versions for each in made.attested().values()) == 2, "both attest")
            wait(place.ready, "the gateway is ready")
            wait(lambda: serving(place) == 2, "the gateway believes both")
            yield made
    finally:
        made.stop()


def _elsewhere(brokers: KafkaSettings | None) -> dict[str, dict[str, object]]:
    names = ("bootstrap", "prefix", "replication", "min_insync")
    return {"kafka": {name: getattr(brokers, name) for name in names}} if brokers else {}


def _stack(brokers: KafkaSettings | None, gateways: int) -> dict[str, object]:
    more = ports.free(gateways - 1) if gateways > 1 else []
    return {"embedded_kafka": brokers is None, "more_gateway_admin_ports": more}


def serving(place: Place) -> int:
    """How many replicas the gateway thinks are well."""
    with urllib.request.urlopen(
        f"http://127.0.0.1:{place.config.stack.gateway_admin_port}/metrics", timeout=5
    ) as reply:
        lines = reply.read().decode().splitlines()
    return sum(line.startswith("homeostat_replica_healthy{") and line.endswith(" 1.0") for line in lines)
