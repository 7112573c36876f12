"""A replica serves what routes want, from verified bytes, and leaves alone what is not ours."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from serving.reconciler import Reconciler
from serving.routing import RouteTable
from serving.settings import ControllerSettings, Replica
from streams.events import Event, ReplicaAttested, RouteWritten
from streams.identity import adapter_digest, adapter_path, version_name
from streams.topics import Topic

SETTINGS = ControllerSettings(drain_s=5.0, attest_every_s=5.0, max_loras=4)


class Engine:
    """Keeps what vLLM promises: a name is loaded once, an unknown one cannot be unloaded."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {"base": "/model", "evaluation-support-0123456789ab": "/somewhere"}
        self.away = False
        self.calls: list[str] = []

    async def models(self) -> dict[str, str]:
        if self.away:
            raise ConnectionError("refused")
        return dict(self.names)

    async def load(self, name: str, path: str) -> None:
        assert name not in self.names
        self.names[name] = path
        self.calls.append(f"load {name}")

    async def unload(self, name: str) -> None:
        del self.names[name]
        self.calls.append(f"unload {name}")


class Place:
    def __init__(self, root: Path, settings: ControllerSettings = SETTINGS) -> None:
        self.root, self.engine, self.said = root, Engine(), list[ReplicaAttested]()
        self.routing = RouteTable()
        self.ours = Reconciler(
            settings, Replica("r1", "http://r1"), self.engine, lambda: self.routing, self.append, root, "base-model"
        )

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> None:
        assert isinstance(event, ReplicaAttested)
        self.said.append(event)

    def adapter(self, weights: str, alias: str = "support") -> tuple[str, str]:
        folder = self.root / "new"
        folder.mkdir(parents=True)
        (folder / "adapter_config.json").write_text("{}")
        (folder / "adapter_model.safetensors").write_text(weights)
        digest = adapter_digest(folder, "base-model")
        adapter_path(self.root, alias, digest).parent.mkdir(exist_ok=True)
        folder.rename(adapter_path(self.root, alias, digest))
        return version_name(alias, digest), digest

    def route(self, generation: int, adapters: dict[str, str], champion: str, **others: Any) -> None:
        written = RouteWritten(
            alias="support", generation=generation, champion=champion, adapters=adapters, time_ms=0, by="t", **others
        )
        self.routing = self.routing.with_route(written)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_it_loads_attests_drains_and_unloads(place: Place) -> None:
    (one, d1), (two, d2) = place.adapter("1"), place.adapter("2")
    place.route(1, {one: d1, two: d2}, one, canary=two)
    await place.ours.reconcile(0.0)
    assert place.said[-1].versions == {one: d1, two: d2}
    assert place.said[-1].generations == {"support": 1}
    place.route(2, {one: d1}, one)
    await place.ours.reconcile(1.0)
    assert two in place.engine.names
    assert place.said[-1].versions == {one: d1}
    await place.ours.reconcile(6.1)
    assert two not in place.engine.names
    assert "evaluation-support-0123456789ab" in place.engine.names


async def test_what_an_engines_restart_lost_is_loaded_again(place: Place) -> None:
    one, digest = place.adapter("1")
    place.route(1, {one: digest}, one)
    await place.ours.reconcile(0.0)
    place.engine.away = True
    await place.ours.reconcile(1.0)
    assert (place.said[-1].healthy, place.said[-1].versions) == (False, {})
    place.engine = place.ours.engine = Engine()
    await place.ours.reconcile(2.0)
    assert place.said[-1].versions == {one: digest}


async def test_altered_bytes_are_neither_loaded_nor_attested(place: Place) -> None:
    (one, d1), (two, d2) = place.adapter("1"), place.adapter("2")
    (adapter_path(place.root, "support", d2) / "adapter_model.safetensors").write_text("altered")
    place.route(1, {one: d1, two: d2}, one, canary=two)
    await place.ours.reconcile(0.0)
    assert place.engine.calls == [f"load {one}"]
    assert place.said[-1].versions == {one: d1}
    assert place.said[-1].healthy


async def test_a_missing_folder_and_a_wrong_name_stop_nobody_else(place: Place) -> None:
    one, d1 = place.adapter("1")
    ghost, lie = "support-eeeeeeeeeeee", "support-dddddddddddd"
    adapters = {one: d1, ghost: "e" * 64, lie: d1}
    place.route(1, adapters, one, canary=ghost, previous=lie)
    await place.ours.reconcile(0.0)
    assert place.said[-1].versions == {one: d1}


async def test_other_bytes_under_a_versions_name_are_replaced(place: Place) -> None:
    one, digest = place.adapter("1")
    place.engine.names[one] = "/tmp/other"
    place.route(1, {one: digest}, one)
    await place.ours.reconcile(0.0)
    assert place.engine.calls == [f"unload {one}", f"load {one}"]
    await place.ours.reconcile(1.0)
    assert len(place.engine.calls) == 2


async def test_a_plan_without_room_keeps_the_champion(tmp_path: Path) -> None:
    place = Place(tmp_path, ControllerSettings(max_loras=1))
    (one, d1), (two, d2) = place.adapter("1"), place.adapter("2")
    place.route(1, {one: d1, two: d2}, one, canary=two)
    await place.ours.reconcile(0.0)
    assert (place.said[-1].healthy, place.said[-1].versions) == (True, {one: d1})


async def test_it_speaks_on_change_and_now_and_then(place: Place) -> None:
    one, digest = place.adapter("1")
    place.route(1, {one: digest}, one)
    for now in (0.0, 1.0, 4.9, 5.1, 6.0):
        await place.ours.reconcile(now)
    assert len(place.said) == 2


async def test_versions_of_unknown_aliases_are_left_alone(place: Place) -> None:
    place.engine.names["stranger-0123456789ab"] = "/x"
    one, digest = place.adapter("1")
    place.route(1, {one: digest}, one)
    await place.ours.reconcile(0.0)
    await place.ours.reconcile(100.0)
    assert "stranger-0123456789ab" in place.engine.names


async def test_a_new_route_is_followed_at_once(place: Place) -> None:
    (one, d1), (two, d2) = place.adapter("1"), place.adapter("2")
    place.route(1, {one: d1}, one)
    stop = asyncio.Event()
    running = asyncio.create_task(place.ours.run(stop))
    await asyncio.sleep(0.2)
    place.route(2, {one: d1, two: d2}, two, previous=one)
    await asyncio.sleep(0.3)
    stop.set()
    await running
    assert place.said[-1].versions == {one: d1, two: d2}
