"""Fingerprints of a real vLLM: the same adapter says the same, another one does not, and a lie is found out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from retrain.adapters import Adapter
from serving.replica.engine import AdminRefused, VllmAdmin, session
from serving.replica.probe import distance
from serving.replica.reconciler import Reconciler
from serving.routes.routing import RouteTable
from serving.settings import ControllerSettings, Replica
from streams.events import Event, ReplicaAttested, RouteWritten
from streams.topics import Topic
from tests.conftest import Engine as RealEngine
from tests.serving.real.test_engine import ALIAS, adapter
from tests.support.folder import in_folder

SETTINGS = ControllerSettings(drain_s=0.0, attest_every_s=60.0)  # each attests once, however long a busy machine takes
QUICK_S = 5.0  # a probe, on a machine that others use too


class Liar(VllmAdmin):
    """An engine that loads another adapter than it should, and claims that it is the right one."""

    def __init__(self, http: aiohttp.ClientSession, url: str, instead: Adapter) -> None:
        super().__init__(http, url)
        self.instead, self.claimed = instead, dict[str, str]()

    async def load(self, name: str, path: str) -> None:
        self.claimed[name] = path
        await super().load(name, str(self.instead.path))

    async def models(self) -> Mapping[str, str]:
        return dict(await super().models()) | self.claimed


class ProbeStack:
    """A route with one champion; what each replica attests is in the table at once."""

    def __init__(self, root: Path, champion: Adapter, base: str) -> None:
        self.root, self.champion, self.base = root, champion, base
        route = RouteWritten(
            alias=ALIAS,
            generation=1,
            champion=champion.version,
            adapters={champion.version: champion.digest},
            time_ms=0,
            by="test",
        )
        self.table = RouteTable().with_route(route)

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> None:
        assert isinstance(event, ReplicaAttested)
        self.table = self.table.with_attestation(event)

    async def attested(self, name: str, engine: VllmAdmin) -> dict[str, str]:
        """What a replica says of itself after one look."""
        replica, trees = Replica(name, "http://x"), in_folder(self.root)
        ours = Reconciler(SETTINGS, replica, engine, lambda: self.table, self.append, trees, self.base)
        await ours.reconcile(time.monotonic())
        return self.table.attestations[name].versions


async def test_the_same_adapter_says_the_same_and_another_does_not(engine: RealEngine, tmp_path: Path) -> None:
    one, two = (adapter(tmp_path / f"new-{seed}", tmp_path, engine, seed) for seed in (11, 12))
    async with session() as http:
        asked, sent = VllmAdmin(http, engine.url), dict[str, list[dict[str, float]]]()
        await asked.probe("base")  # the engine compiles for its first log-probabilities
        for each in (one, two, one):
            await asked.load(each.version, str(each.path))
            began = time.monotonic()
            sent.setdefault(each.version, []).append((await asked.probe(each.version)).logprobs)
            assert time.monotonic() - began < QUICK_S
            await asked.unload(each.version)
        base = await asked.probe("base")
        with pytest.raises(AdminRefused, match="404"):
            await asked.probe(one.version)
    (first, again), (other,) = sent[one.version], sent[two.version]
    assert distance(first, again) < SETTINGS.probe_tolerance / 10
    assert distance(first, other) > SETTINGS.probe_tolerance * 5
    assert distance(first, base.logprobs) > SETTINGS.probe_tolerance * 5
    assert base.engine.startswith("vllm-")


async def test_a_replica_that_computes_with_other_weights_is_not_attested(engine: RealEngine, tmp_path: Path) -> None:
    root = tmp_path
    one, two = (adapter(tmp_path / f"new-{seed}", root, engine, seed) for seed in (13, 14))
    place = ProbeStack(root, one, engine.base_model_id)
    async with session() as http:
        honest = VllmAdmin(http, engine.url)
        assert await place.attested("honest", honest) == {one.version: one.digest}
        await honest.unload(one.version)
        assert await place.attested("liar", Liar(http, engine.url, two)) == {}
        expected = place.table.attestations["liar"].probes[one.version]
        right = place.table.attestations["honest"].probes[one.version]
        assert distance(expected.logprobs, right.logprobs) > SETTINGS.probe_tolerance * 5
        await honest.unload(one.version)
        assert await place.attested("third", honest) == {one.version: one.digest}
        await honest.unload(one.version)
