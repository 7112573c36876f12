"""A reconciler with a fake engine under it and a fake log over it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from serving.replica.probe import ProbeReading
from serving.replica.reconciler import Reconciler
from serving.routes.routing import RouteTable
from serving.settings import ControllerSettings, Replica
from streams.events import Event, ReplicaAttested, RouteWritten
from streams.identity import adapter_key
from streams.objects.tree import Trees
from streams.proof import Probe, Proof
from streams.topics import Topic
from tests.serving.support.adapter_files import BASE, store
from tests.support.folder import in_folder
from tests.support.waiting import PATIENCE_S

SETTINGS = ControllerSettings(drain_s=5.0, attest_every_s=5.0, max_loras=4)


class EngineFake:
    """Keeps what vLLM promises: a name is loaded once, an unknown one cannot be unloaded, other bytes are other
    log-probabilities."""

    BASE_LOGPROBS = {"a": -5.0, "b": -5.0}

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.computes: dict[str, dict[str, float]] = {}  # what a name answers, whatever its bytes are
        self.away = self.mute = self.heals_on_load = False
        self.on_load: Callable[[], object] = lambda: 0
        self.calls: list[str] = []
        self.probed: list[str] = []
        self.proven: list[tuple[str, int]] = []  # names, and of how many questions each
        self.apart: dict[str, float] = {}  # how far a name's answers to its proof are from those expected
        self.calls_to_warm = self.probes_refused = 0
        self.restart()

    def restart(self) -> None:
        self.away, self.names = False, {"base": "/model", "evaluation-support-0123456789ab": "/somewhere"}

    async def models(self) -> dict[str, str]:
        if self.away:
            raise ConnectionError("refused")
        return dict(self.names)

    async def load(self, name: str, path: str) -> None:
        assert name not in self.names
        self.names[name] = path
        self.calls.append(f"load {name}")
        self.on_load()
        if self.heals_on_load:
            self.computes.pop(name, None)
            self.apart.pop(name, None)

    async def unload(self, name: str) -> None:
        del self.names[name]
        self.calls.append(f"unload {name}")

    async def warm(self, name: str) -> None:
        assert name == "base"
        self.calls_to_warm += 1
        if self.mute:
            raise TimeoutError("too busy")

    async def probe(self, name: str) -> ProbeReading:
        if self.away or self.mute:
            self.probes_refused += 1
            raise TimeoutError("too busy")
        if name == "base":
            return ProbeReading(self.BASE_LOGPROBS)
        self.probed.append(name)
        return ProbeReading(self.computes.get(name) or self._computed(self.names[name]))

    async def prove(self, name: str, proof: Proof) -> float:
        if self.away or self.mute:
            raise TimeoutError("too busy")
        self.proven.append((name, len(proof.rows)))
        return self.apart.get(name, 0.0)

    def logprobs_of(self, version: str, digest: str, root: Path) -> dict[str, float]:
        """What every honest engine says."""
        return self._computed(str(root / adapter_key("support", digest)))

    def _computed(self, path: str) -> dict[str, float]:
        found = hashlib.sha256((Path(path) / "adapter_model.safetensors").read_bytes()).digest()
        return {"a": -found[0] / 32, "b": -found[1] / 32}


class ReplicaScene:
    def __init__(self, root: Path, settings: ControllerSettings = SETTINGS, trees: Trees | None = None) -> None:
        self.root, self.settings, self.engine, self.attested = root, settings, EngineFake(), list[ReplicaAttested]()
        self.routing = RouteTable()
        self.log_away, self.log_takes_s = False, 0.0
        replica, trees = Replica("r1", "http://r1"), trees or in_folder(root)
        self.ours = Reconciler(settings, replica, self.engine, lambda: self.routing, self.append, trees, BASE)

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> None:
        if self.log_away:
            raise TimeoutError("no broker")
        time.sleep(self.log_takes_s)
        assert isinstance(event, ReplicaAttested)
        self.attested.append(event)
        self.routing = self.routing.with_attestation(event)

    def adapter(self, text: str, proof: Proof | None = None) -> tuple[str, str]:
        return store(self.root, text, proof=proof)

    def route(
        self, generation: int, adapters: dict[str, str], champion: str, alias: str = "support", **others: Any
    ) -> None:
        written = RouteWritten(
            alias=alias, generation=generation, champion=champion, adapters=adapters, time_ms=0, by="t", **others
        )
        self.routing = self.routing.with_route(written)

    def peer(self, name: str, measured: dict[str, tuple[str, dict[str, float]]]) -> None:
        """Another replica attests these versions, with their digests and fingerprints, for a while already."""
        now_ms = time.time_ns() // 1_000_000
        attested = ReplicaAttested(
            replica=name,
            url=f"http://{name}",
            time_ms=now_ms,
            healthy=True,
            base_model=BASE,
            versions={version: digest for version, (digest, _) in measured.items()},
            generations={},
            probes={version: Probe(logprobs=seen, since_ms=now_ms - 1_000) for version, (_, seen) in measured.items()},
        )
        self.routing = self.routing.with_attestation(attested)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(self.ours.run(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def until(self, holds: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + within_s
        while not (self.attested and holds()):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)

    async def until_attested(self, versions: dict[str, str], within_s: float = PATIENCE_S) -> None:
        """Reconcile until this is attested."""
        deadline = time.monotonic() + within_s
        while not self.attested or self.attested[-1].versions != versions:
            assert time.monotonic() < deadline
            await self.ours.reconcile(time.monotonic())
            await asyncio.sleep(0.05)

    async def settled(self) -> None:
        """What was begun next to everything else is done."""
        await asyncio.sleep(0.01)

    def logged(self) -> AbstractContextManager[list[Any]]:
        return capture_logs()
