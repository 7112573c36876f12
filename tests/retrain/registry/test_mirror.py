"""Model versions in MLflow follow the routes: on SQLite, and on a real server that goes and comes back."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.stack.ports import free
from retrain.registry import mirror
from retrain.registry.follower import RegistryFollower
from retrain.registry.mirror import mirrored
from retrain.registry.versions import MirrorOrder, ordered
from retrain.training.tracking import URI, client_of, run
from serving.rollout.approvals import Signatures
from streams.events import DecisionRecorded, RetrainReported, RouteWritten
from streams.kinds import RetrainStatus
from tests.retrain.support.mlflow_server import served

pytestmark = pytest.mark.slow

OLD, NEW = "a" * 64, "b" * 64
FIRST, SECOND = f"support-{OLD[:12]}", f"support-{NEW[:12]}"


def route(generation: int, **changes: Any) -> RouteWritten:
    adapters = {FIRST: OLD, **({SECOND: NEW} if SECOND in changes.values() else {})}
    first = RouteWritten(
        alias="support", generation=generation, champion=FIRST, adapters=adapters, time_ms=generation, by="test"
    )
    return msgspec.structs.replace(first, **changes)


def made(run_id: str = "", status: RetrainStatus = RetrainStatus.PROMOTE) -> RetrainReported:
    return RetrainReported(
        request_id="r1",
        alias="support",
        status=status,
        time_ms=5,
        by="trainer",
        candidate=SECOND,
        digest=NEW,
        dataset_digest="d" * 64,
        mlflow_run=run_id,
    )


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow_tables: Path) -> Path:
    monkeypatch.delenv(URI, raising=False)
    return Path(shutil.copytree(mlflow_tables, tmp_path / "mlflow"))


def seen(client: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Which digest each number has, and which digest each alias."""
    numbers = {str(each.version): each.tags["digest"] for each in client.search_model_versions("name = 'support'")}
    aliases = client.get_registered_model("support").aliases
    return numbers, {role: numbers[str(number)] for role, number in aliases.items()}


def test_each_version_is_registered_once_with_the_aliases_of_its_route(store: Path) -> None:
    with run(store, "support", "a run", {"r": 16}, {}) as active:
        pass
    client, results = client_of(store), [made(active.id)]
    routes = [route(1), route(2, canary=SECOND)]
    for _ in range(2):
        mirrored(client, ordered(routes, results))
        numbers, aliases = seen(client)
        assert sorted(numbers.values()) == [OLD, NEW]
        assert aliases == {"champion": OLD, "challenger": NEW}
    (second,) = [each for each in client.search_model_versions("name = 'support'") if each.tags["digest"] == NEW]
    assert second.tags == {
        "version": SECOND,
        "digest": NEW,
        "dataset": "d" * 64,
        "request": "r1",
        "run": active.id,
    }
    assert (second.run_id, second.source) == (active.id, f"runs:/{active.id}/adapter")
    routes.append(route(3, champion=SECOND, previous=FIRST))
    mirrored(client, ordered(routes, results))
    assert seen(client) == (numbers, {"champion": NEW, "previous": OLD})
    routes.append(route(3))  # void: of a generation that is taken
    mirrored(client, ordered(routes, results))
    assert seen(client)[1] == {"champion": NEW, "previous": OLD}


def test_killed_anywhere_it_goes_on_and_takes_no_half_for_a_person(store: Path) -> None:
    client = client_of(store)
    mirrored(client, ordered([route(1)], []))
    later = ordered([route(1), route(2, champion=SECOND, previous=FIRST)], [made("0" * 32)], approvals=True)

    class Dying:
        """The client; it dies at its n-th write."""

        def __init__(self, writes: int) -> None:
            self.left = writes

        def __getattr__(self, name: str) -> Any:
            if name.startswith(("create", "set", "delete")):
                self.left -= 1
                if self.left < 0:
                    raise KeyboardInterrupt
            return getattr(client, name)

    died = 0
    for writes in range(20):
        try:
            assert mirrored(Dying(writes), later) == []
            break
        except KeyboardInterrupt:
            died += 1
    assert died >= 3
    assert mirrored(client, later) == []
    numbers, aliases = seen(client)
    assert sorted(numbers.values()) == [OLD, NEW]
    assert aliases == {"champion": NEW, "previous": OLD}


def test_of_two_mirrors_at_once_the_lower_number_stays(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, order, inner = client_of(store), ordered([route(1)], []), mirror._register

    def slow(given: Any, each: Any) -> str:
        monkeypatch.setattr(mirror, "_register", inner)
        mirrored(client, order)  # another one is quicker
        return inner(given, each)

    monkeypatch.setattr(mirror, "_register", slow)
    mirrored(client, order)
    assert seen(client) == ({"1": OLD}, {"champion": OLD})


def approved(store: Path, order: MirrorOrder, **tags: str) -> list[str]:
    """Who approved what, where a person has made the second version champion."""
    client = client_of(store)
    mirrored(client, order)
    numbers, _ = seen(client)
    number = next(number for number, digest in numbers.items() if digest == NEW)
    for name, value in tags.items():
        client.set_model_version_tag("support", number, name, value)
    client.set_registered_model_alias("support", "champion", number)
    given = mirrored(client, order)
    assert seen(client)[1]["champion"] == OLD, "the routes decide"
    assert mirrored(client, order) == given, "nothing is lost where the trainer is killed before it records it"
    return [f"{each.by}: {each.version}" for each in given]


def test_an_alias_that_a_person_sets_is_an_approval_where_the_policy_says_so(store: Path) -> None:
    order = ordered([route(1), route(2, shadow=SECOND)], [made()], approvals=True)
    assert approved(store, order, approved_by="ann") == [f"ann: {SECOND}"]


def test_without_a_name_or_without_the_policy_it_is_none(store: Path) -> None:
    order = ordered([route(1), route(2, shadow=SECOND)], [made()])
    assert approved(store, order, approved_by="ann") == []
    assert approved(store.parent / "other", msgspec.structs.replace(order, approvals=True)) == []


def test_a_server_that_is_away_delays_nothing_and_is_caught_up_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free()[0]
    monkeypatch.setenv(URI, f"http://127.0.0.1:{port}")
    routes, results, recorded = [route(1)], list[RetrainReported](), list[DecisionRecorded]()
    follower = RegistryFollower(
        lambda: ordered(routes, results, approvals=True), lambda: results, recorded.append, rest_s=10
    )
    stop = threading.Event()
    follower.turn(0.0, stop)
    assert follower._failed
    follower.turn(5.0, stop)  # rests
    with served(tmp_path, port):
        routes.append(route(2, canary=SECOND))
        results.append(made("no such run", RetrainStatus.REJECT))
        follower.turn(20.0, stop)
        client = client_of(tmp_path)
        assert seen(client)[1] == {"champion": OLD, "challenger": NEW}
        number = next(number for number, digest in seen(client)[0].items() if digest == NEW)
        client.set_model_version_tag("support", number, "approved_by", "ann")
        client.set_registered_model_alias("support", "approved", number)
        follower.turn(40.0, stop)
        assert recorded == [], "what the gate has rejected needs no approval"
        results.append(msgspec.structs.replace(made(), request_id="r2"))
        follower.turn(60.0, stop)
        follower.turn(80.0, stop)
    (entry,) = recorded
    assert entry.inputs == {"action": "approve", "by": "mlflow/ann", "version": SECOND}
    assert (entry.alias, entry.cause) == ("support", "r2")
    signatures = Signatures()
    signatures.take(entry)
    assert [each.by for each in signatures.of("r2", NEW)] == ["mlflow/ann"], "a rollout reads it as it reads a key's"
