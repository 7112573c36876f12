"""A replica without a folder in common with the trainer: what it serves it fetches from a bucket, once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.replica import loader
from serving.replica.adapters import Adapters, Unfit
from serving.rollout.controller import Controller
from serving.routes.follower import Follower
from serving.routes.slots import WantedVersion
from serving.settings import ControllerSettings
from streams.identity import adapter_digest, adapter_key, version_name
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from streams.objects.tree import Trees
from tests.serving.support.adapter_files import BASE, weights, write
from tests.serving.support.replica import ReplicaScene
from tests.support.s3 import S3, SLOW_DOWN

WEIGHTS = "adapter_model.safetensors"


class Machines:
    """A trainer and a replica with nothing in common but a bucket."""

    def __init__(self, s3: S3, folder: Path) -> None:
        self.s3, self.folder, self.settings = s3, folder, s3.storage(folder.name)
        self.replica = ReplicaScene(folder, trees=self.trees("replica"))

    def trees(self, machine: str, patience_s: float = 5.0) -> Trees:
        return Storage(self.settings, self.folder / machine).trees(patience_s)

    def commit(self, text: str, digest: str = "", r: int = 8) -> tuple[str, str]:
        """The trainer's new adapter, under its own digest or another: version and digest."""
        source = write(self.folder / f"made-{text}", text, r=r)
        digest = digest or adapter_digest(source, BASE)
        with self.trees("trainer").scratch("adapters/support") as scratch:
            shutil.copytree(source, scratch, dirs_exist_ok=True)
            self.trees("trainer").put(adapter_key("support", digest), scratch)
        return version_name("support", digest), digest

    def cached(self, digest: str) -> Path:
        return self.trees("replica").home / adapter_key("support", digest)


@pytest.fixture
def machines(s3: S3, tmp_path: Path) -> Machines:
    return Machines(s3, tmp_path)


async def test_it_fetches_what_the_route_wants_and_attests_it(machines: Machines) -> None:
    (version, digest), place = machines.commit("1"), machines.replica
    place.route(1, {version: digest}, version)
    await place.ours.reconcile(0.0)
    assert place.attested[-1].versions == {version: digest}
    assert Path(place.engine.names[version]) == machines.cached(digest)
    asked = len(machines.s3.requests("GET"))
    again = ReplicaScene(machines.folder, trees=machines.trees("replica"))
    again.routing = place.routing
    await again.ours.reconcile(0.0)
    assert again.attested[-1].versions == {version: digest}
    assert len(machines.s3.requests("GET")) == asked, "the same bytes are never fetched twice"


async def test_a_bucket_that_is_away_holds_up_nothing_that_is_here(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "FETCH_S", 0.1)  # the bucket is asked again and again, for longer than the test waits
    (one, d1), (two, d2), place = machines.commit("1"), machines.commit("2"), machines.replica
    place.route(1, {one: d1}, one)
    await place.until_attested({one: d1})
    machines.s3.for_ever = SLOW_DOWN
    place.route(2, {one: d1, two: d2}, one, canary=two)
    began = time.monotonic()
    with place.logged() as logs:
        await place.ours.reconcile(10.0)
    assert time.monotonic() - began < 4
    assert place.attested[-1].versions == {one: d1}
    assert any("not fetched within 0.1 s" in str(each.get("problem")) for each in logs)
    machines.s3.for_ever = None
    await place.until_attested({one: d1, two: d2})


async def test_bytes_of_another_digest_never_reach_the_engine_nor_the_cache(machines: Machines) -> None:
    (version, digest), place = machines.commit("1", digest="a" * 64), machines.replica
    place.route(1, {version: digest}, version)
    with place.logged() as logs:
        await place.ours.reconcile(0.0)
    assert version not in place.engine.names
    assert any(f"expected {digest}" in str(each.get("problem")) for each in logs)
    assert not machines.cached(digest).exists()


def test_bytes_of_another_digest_are_refused_while_they_are_fetched(machines: Machines) -> None:
    version, digest = machines.commit("1", digest="a" * 64)
    with pytest.raises(Unfit, match=f"expected {digest}"):
        Adapters(machines.trees("replica"), BASE, 16).fetch(WantedVersion("support", version, digest))
    assert not machines.cached(digest).exists()


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(weights("altered")), Path.unlink])
async def test_a_copy_that_was_altered_is_fetched_again(machines: Machines, harm: Callable[[Path], object]) -> None:
    (version, digest), place = machines.commit("1"), machines.replica
    place.route(1, {version: digest}, version)
    await place.ours.reconcile(0.0)
    harm(machines.cached(digest) / WEIGHTS)
    await place.ours.reconcile(1.0)
    await place.ours.reconcile(2.0)
    assert (machines.cached(digest) / WEIGHTS).read_bytes() == weights("1")
    assert place.attested[-1].versions == {version: digest}


def test_one_with_too_high_a_rank_is_fetched_once(machines: Machines) -> None:
    version, digest = machines.commit("1", r=64)
    each, adapters = WantedVersion("support", version, digest), Adapters(machines.trees("replica"), BASE, 16)
    adapters.fetch(each)
    with pytest.raises(Unfit, match="its rank is 64"):
        adapters.verified(each)
    assert adapters.at_hand(each)


def test_a_candidate_in_the_bucket_is_looked_at_before_its_rollout(machines: Machines) -> None:
    (_, good), (_, high) = machines.commit("1"), machines.commit("2", r=64)
    unfit = controller(machines)._unfit
    assert unfit("support", good) == ""
    assert "its rank is 64, max_lora_rank is 16" in unfit("support", high)
    machines.s3.for_ever = SLOW_DOWN
    began = time.monotonic()
    assert unfit("support", "f" * 64) == "", "the replicas look by themselves"
    assert time.monotonic() - began < 10


def controller(machines: Machines) -> Controller:
    kafka = KafkaSettings()
    follower = Follower(kafka, machines.folder / "routes.json")
    return Controller(kafka, ControllerSettings(), follower, "controller/x", machines.trees("controller", 1.0))
