"""Forgotten is forgotten everywhere, however often the command dies, and the record says so; on a folder and on S3."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from deploy.config.secrets import signer
from deploy.config.settings import Config
from deploy.operator.erasure import forgetting, rounds
from deploy.operator.erasure.forgetting import NamedPerson, named
from deploy.operator.erasure.order import OrderDamaged, OrderRecord, OrderTaken, orders
from deploy.operator.erasure.remains import HOUR_MS, log_until_ms
from deploy.stack.settings import StackSettings
from retrain.data import manifest
from retrain.data.dataset import Dataset
from retrain.job_rows import _stored_judged
from streams.clock import now_ms
from streams.events import RouteWritten
from streams.lake import erasure
from streams.log.append import Appender
from streams.log.settings import KafkaSettings
from streams.objects import store as objects
from streams.objects.settings import StorageSettings
from streams.objects.tree import Trees
from streams.topics import FEEDBACK, INFERENCE, ROUTES
from tests.deploy.support.forgotten import (
    JUDGED,
    LATER,
    NOW_MS,
    OTHER,
    REPLIES,
    TAUGHT,
    Fuse,
    Installation,
    Killed,
    mortal_lake,
)
from tests.retrain.support.rows import row
from tests.streams.support.lakes import ids, put
from tests.streams.support.traffic import feedback
from tests.support.s3 import KEYS, S3

APP = NamedPerson("client", "key", "app")
SHOP = NamedPerson("client", "key", "shop")
MINE = [each for each in REPLIES if each.client.startswith("app")]
DAYS = 10  # until no topic has anything


def installed(folder: Path) -> Installation:
    made = Installation(StorageSettings(), folder)
    made.fill()
    return made


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    s3: S3 | None = request.getfixturevalue("s3") if request.param == "s3" else None
    made = Installation(s3.storage(tmp_path.name) if s3 else StorageSettings(), tmp_path / "var")
    made.fill()
    return made


def test_a_client_is_forgotten_and_the_others_are_not(place: Installation) -> None:
    order = forgetting.forget(APP, place.places())
    others = {each.id for each in REPLIES if each not in MINE}
    assert set(ids(place.lake, INFERENCE)) == others
    assert len(ids(place.lake, FEEDBACK)) == len(others)
    assert (sum(order.replies.values()), sum(order.labels.values())) == (len(MINE), len(MINE))
    assert order.adapters == {TAUGHT: "trained", JUDGED: "judged", LATER: "descended"}
    assert {(each.rows, each.lessons) for each in order.datasets} == {(8, 4), (4, 0)}
    assert (order.reports, order.waiting, order.problems) == (["theirs"], [], [])
    assert {row.id for version in (TAUGHT, OTHER) for row in manifest.trained_on(place.trees, version)} <= others
    for plan in order.datasets:
        assert manifest.load(place.trees, plan.old)[0].digest == plan.new
        assert plan.old not in place.trees.digests("datasets")
    kept = place.trees.store.list("reports")
    assert {key.partition(".")[0] for key in kept} == {"reports/others"}


def test_the_record_names_nobody(place: Installation) -> None:
    forgetting.forget(NamedPerson("user", "pseudonym", "ann"), place.places())
    for key in place.trees.store.list("erasures"):
        assert b"ann" not in place.trees.store.get(key).data
    assert NamedPerson("user", "pseudonym", "ann").is_of(place.order())
    assert not NamedPerson("user", "pseudonym", "bob").is_of(place.order())


@pytest.mark.slow
def test_killed_between_any_two_steps_it_is_given_again_and_ends_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = installed(tmp_path / "filled").var
    shutil.copytree(filled, tmp_path / "calm")
    calm = Installation(StorageSettings(), tmp_path / "calm")
    forgetting.forget(APP, calm.places())
    steps, wanted = calm.fuse.steps, calm.state()
    assert steps > 25
    for at in range(steps + 20):  # with the lake's own
        shutil.copytree(filled, tmp_path / f"rough-{at}")
        rough = Installation(StorageSettings(), tmp_path / f"rough-{at}", fuse=Fuse(at))
        with mortal_lake(monkeypatch, rough.fuse):
            try:
                forgetting.forget(APP, rough.places())
            except Killed:
                rough.fuse.left = None
                forgetting.forget(APP, rough.places())
            else:
                assert rough.state() == wanted
                return
        assert rough.state() == wanted, f"killed at step {at}"
    pytest.fail("it never came to its end")


@pytest.fixture(scope="module")
def calm_in_a_bucket(s3_server: S3, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What an erasure that nobody kills leaves there."""
    folder = tmp_path_factory.mktemp("calm")
    with pytest.MonkeyPatch.context() as patched:
        for name, value in KEYS.items():
            patched.setenv(name, value)
        calm = Installation(s3_server.storage(folder.name), folder)
        calm.fill()
        forgetting.forget(APP, calm.places())
        return calm.state()


@pytest.mark.slow
@pytest.mark.parametrize("at", [2, 9, 16, 23, 30])
def test_killed_on_a_bucket_it_ends_alike(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, calm_in_a_bucket: dict[str, object]
) -> None:
    rough = Installation(s3.storage(f"{tmp_path.name}-rough"), tmp_path / "rough", fuse=Fuse(at))
    rough.fill()
    with mortal_lake(monkeypatch, rough.fuse), pytest.raises(Killed):
        forgetting.forget(APP, rough.places())
    rough.fuse = Fuse()
    list(forgetting.resume(rough.places()))
    assert rough.state() == calm_in_a_bucket


def test_rows_that_come_from_the_log_later_go_at_the_next_round(tmp_path: Path) -> None:
    place = installed(tmp_path)
    forgetting.forget(APP, place.places())
    late = [each for each in REPLIES if each.client == "app"][:2]
    put(place.lake, INFERENCE, late, partition=3)
    put(place.lake, FEEDBACK, [feedback(MINE[0], False)], partition=3)  # of a reply that is gone
    (order,) = forgetting.resume(place.places())
    assert not {each.id for each in MINE} & set(ids(place.lake, INFERENCE))
    assert sum(ids(place.lake, FEEDBACK).values()) == len(REPLIES) - len(MINE)
    assert sum(order.replies.values()) == len(MINE)


def test_a_round_that_knows_more_than_the_killed_one_before_loses_no_dataset(tmp_path: Path) -> None:
    """Between the plan and its rewriting the process died; then a label came that takes another row out, too."""
    place = installed(tmp_path)

    def away(*_: object) -> None:
        raise OSError("the store is away")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("retrain.data.erasure.rewrite", away)
        with pytest.raises(OSError, match="the store is away"):
            forgetting.forget(APP, place.places())
    judged = next(each for each in REPLIES if each not in MINE)
    put(place.lake, FEEDBACK, [msgspec.structs.replace(feedback(judged, True), id="late", by="app")], partition=3)
    (order,) = forgetting.resume(place.places())
    assert order.problems == []
    for plan in order.datasets:
        known, dataset = manifest.load(place.trees, plan.old)
        assert known.digest == plan.new
        assert not {judged.id, *(each.id for each in MINE)} & {row.id for row in dataset.rows}
    assert manifest.trained_on(place.trees, TAUGHT)


def test_a_dataset_that_cannot_be_read_is_named_and_stops_nothing_else(tmp_path: Path) -> None:
    place = installed(tmp_path)
    damaged = manifest.noted(place.trees, TAUGHT)[0]
    (place.var / "datasets" / damaged / "regression.parquet").write_bytes(b"")
    order = forgetting.forget(APP, place.places())
    assert (order.reports, len(order.datasets)) == (["theirs"], 1)
    assert [damaged in each and "delete it" in each for each in order.problems] == [True]
    place.now_ms += DAYS * 24 * HOUR_MS
    (order,) = forgetting.resume(place.places())
    assert order.finished_ms == 0
    shutil.rmtree(place.var / "datasets" / damaged)
    (order,) = forgetting.resume(place.places())
    assert order.problems == []


def test_a_round_reads_each_versions_record_twice_however_many_datasets_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = installed(tmp_path)
    forgetting.forget(APP, place.places())
    read, real = list[str](), manifest.noted

    def noted(trees: Trees, version: str) -> tuple[str, str | None]:
        read.append(version)
        return real(trees, version)

    monkeypatch.setattr(manifest, "noted", noted)
    (order,) = forgetting.resume(place.places())
    assert len(order.datasets) == 2
    assert sorted(read) == sorted([TAUGHT, JUDGED, LATER, OTHER] * 2)  # whom to lead on, and who began from whom


def test_a_clock_that_is_behind_takes_no_time_from_an_order(tmp_path: Path) -> None:
    place = installed(tmp_path)
    first = forgetting.forget(APP, place.places())
    place.now_ms -= HOUR_MS
    assert forgetting.forget(APP, place.places()).until_ms == first.until_ms


def test_files_of_an_earlier_release_are_named(tmp_path: Path) -> None:
    place = installed(tmp_path)
    old = place.var / "lake" / "inference.events" / "partition=0" / "0.parquet"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"")
    order = forgetting.forget(APP, place.places())
    assert "an earlier release's lake" in {each.place for each in order.remains}


@pytest.mark.slow
def test_in_a_bucket_a_killed_writers_files_and_a_brought_page_go_too(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Installation(s3.storage(tmp_path.name), tmp_path / "var")
    place.fill()
    killed = f"datasets/{'a' * 64}/{'b' * 64}-train.parquet"
    place.trees.store.put_if_absent(killed, b"rows")
    brought = place.trees.home / "reports" / "theirs.html"
    brought.parent.mkdir(parents=True)
    brought.write_text("<p>")
    forgetting.forget(APP, place.places())
    assert not brought.exists()
    assert place.trees.store.holds(killed)  # its writer may be at it
    monkeypatch.setattr(rounds, "now_ms", lambda: now_ms() + 25 * HOUR_MS)
    (order,) = forgetting.resume(place.places())
    assert not place.trees.store.holds(killed)
    assert all(place.trees.digests("datasets").count(plan.new) == 1 for plan in order.datasets)


def test_what_the_client_sends_after_the_order_stays(tmp_path: Path) -> None:
    place = installed(tmp_path)
    place.now_ms = REPLIES[0].time_ms + 5
    forgetting.forget(APP, place.places())
    left = {each.id for each in MINE if each.time_ms >= place.now_ms}
    assert left
    assert {each.id for each in MINE} & set(ids(place.lake, INFERENCE)) == left
    assert left <= {
        row.id for digest in place.trees.digests("datasets") for row in manifest.load(place.trees, digest)[1].rows
    }


def test_an_order_ends_once_old_files_and_the_logs_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = installed(tmp_path)
    swept: list[int] = []
    monkeypatch.setattr(rounds, "vacuum", lambda lake, hours: swept.append(hours))
    order = forgetting.forget(APP, place.places())
    assert order.last_byte_ms == NOW_MS + DAYS * 24 * HOUR_MS
    assert order.remains[0].until_ms == NOW_MS + 24 * HOUR_MS
    place.now_ms += 25 * HOUR_MS
    (order,) = forgetting.resume(place.places())
    assert (swept, order.finished_ms) == ([24], 0)
    place.now_ms = log_until_ms(order) - 1  # the log may still have a row
    (order,) = forgetting.resume(place.places())
    assert order.finished_ms == 0
    place.now_ms = order.last_byte_ms
    (order,) = forgetting.resume(place.places())
    assert order.finished_ms == place.now_ms
    assert list(place.trees.store.list("erasures")) == [f"erasures/{order.id}.json"]
    assert list(forgetting.resume(place.places())) == []


def test_a_file_that_a_killed_writer_left_since_goes_before_the_order_ends(tmp_path: Path) -> None:
    place = installed(tmp_path)
    forgetting.forget(APP, place.places())
    place.now_ms += 25 * HOUR_MS
    (order,) = forgetting.resume(place.places())
    left = place.var / "lake" / "replies" / "log_day=2025-06-15" / "part-00000-left.zstd.parquet"
    left.write_bytes(b"rows")
    os.utime(left, (time.time() - 30 * 3_600,) * 2)
    place.now_ms = order.last_byte_ms
    (order,) = forgetting.resume(place.places())
    assert (order.finished_ms, left.exists()) == (place.now_ms, False)


def test_a_busy_day_stays_on_the_list_and_ends_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = installed(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(erasure, "_delete", lambda table, *_: "replies" not in table.table_uri)
        order = forgetting.forget(APP, place.places())
    assert [each.partition(" of ")[0] for each in order.waiting] == ["replies", "replies"]
    place.now_ms = order.last_byte_ms
    (order,) = forgetting.resume(place.places())
    assert (order.waiting, order.finished_ms) == ([], 0)  # its old files still have a day
    assert not {each.id for each in MINE} & set(ids(place.lake, INFERENCE))


def test_two_at_one_order_do_not_mix(tmp_path: Path) -> None:
    place = installed(tmp_path)
    forgetting.forget(APP, place.places())
    (one,) = orders(place.trees.store).readable
    other = OrderRecord.read(place.trees.store, one.order.id)
    one.write(looked_ms=1)
    with pytest.raises(OrderTaken, match="another `homeostat forget` works on it"):
        other.write(looked_ms=2)


def test_a_version_whose_training_was_under_way_is_listed_later(tmp_path: Path) -> None:
    place = installed(tmp_path)
    order = forgetting.forget(APP, place.places())
    old = next(each.old for each in order.datasets if each.lessons)
    manifest.remember(place.trees, "support-00000000000e", old, None)
    (order,) = forgetting.resume(place.places())
    assert order.adapters["support-00000000000e"] == "trained"
    assert manifest.noted(place.trees, "support-00000000000e") == (manifest.current(place.trees, old), None)


def test_a_user_is_named_as_gateways_name_them(tmp_path: Path) -> None:
    config = Config(stack=StackSettings(var=tmp_path))
    with pytest.raises(ValueError, match=r"signing.key is not there, expected the gateways' signing key"):
        named(config, "", "ann", "")
    pseudonym = signer(config).pseudonym
    assert named(config, "", "ann", "") == NamedPerson("user", "pseudonym", pseudonym("ann"))
    assert named(config, "app", "ann", "") == NamedPerson("user", "whole", f"app/{pseudonym('ann')}")
    chat = pseudonym("conversation chat-1")
    assert named(config, "", "", "chat-1") == NamedPerson("conversation", "pseudonym", chat)
    assert named(config, "", "", "chat-1").erased().conversation
    assert named(config, "app/3fa9", "", "") == NamedPerson("client", "whole", "app/3fa9")
    nobody = [(client, "", "") for client in ("", "app/", "/3fa9", "a/b/c")]
    for wrong in (*nobody, ("", "ann", "chat-1"), ("app/3fa9", "ann", "")):
        with pytest.raises(ValueError, match="expected"):
            named(config, *wrong)


def test_the_record_says_which_adapter_serves(tmp_path: Path, kafka: KafkaSettings) -> None:
    place = installed(tmp_path)
    stack = StackSettings(var=tmp_path, embedded_kafka=False)
    route = RouteWritten(
        alias="forgotten", generation=1, champion=TAUGHT, adapters={TAUGHT: "a" * 64}, time_ms=1, by="test"
    )
    with closing(Appender(kafka, "test")) as appender:
        appender.append(ROUTES, route, id="route", time_ms=1)
    asked = forgetting.erasure_places(Config(stack=stack, kafka=kafka)).serving
    order = forgetting.forget(APP, replace(place.places(), serving=asked))
    assert order.serving == {TAUGHT: "champion of forgotten"}


def test_a_preview_deletes_nothing(tmp_path: Path) -> None:
    place = installed(tmp_path)
    found = forgetting.preview(APP, place.places())
    assert (sum(found.replies.values()), len(found.datasets), found.reports) == (len(MINE), 2, ["theirs"])
    assert place.fuse.steps == 0
    assert sum(ids(place.lake, INFERENCE).values()) == len(REPLIES)


def test_a_version_that_was_judged_on_rows_labelled_meanwhile_is_listed_by_every_order(tmp_path: Path) -> None:
    place = installed(tmp_path)
    rows = [row(i, id=each.id, client=each.client, time_ms=each.time_ms) for i, each in enumerate(REPLIES)]
    of = manifest.load(place.trees, manifest.noted(place.trees, OTHER)[0])[0]
    meanwhile = manifest.listed(Dataset([], [], rows, [], {}), alias="support", base_model="base", since_ms=1)
    _stored_judged(place.trees, OTHER, Dataset([], [], rows, [], {}), of)
    app = forgetting.forget(APP, place.places())
    assert app.adapters[OTHER] == "judged"
    assert manifest.current(place.trees, meanwhile.digest) != meanwhile.digest
    shop = forgetting.forget(NamedPerson("client", "whole", "shop/ann"), place.places())
    assert shop.adapters[OTHER] == "trained", "it had their rows as lessons"
    found = {each.id: each.adapters[OTHER] for each in forgetting.resume(place.places())}
    assert found == {app.id: "judged", shop.id: "trained"}


@pytest.mark.parametrize("at", [7, 13, 19, 25])
def test_such_a_version_is_listed_wherever_the_erasure_dies(tmp_path: Path, at: int) -> None:
    place = installed(tmp_path)
    rows = [row(i, id=each.id, client=each.client, time_ms=each.time_ms) for i, each in enumerate(REPLIES)]
    of = manifest.load(place.trees, manifest.noted(place.trees, OTHER)[0])[0]
    _stored_judged(place.trees, OTHER, Dataset([], [], rows, [], {}), of)
    place.fuse = Fuse(at)
    with suppress(Killed):
        forgetting.forget(APP, place.places())
    place.fuse = Fuse()
    assert forgetting.forget(APP, place.places()).adapters[OTHER] == "judged"


@pytest.mark.parametrize("data", [b"", b"{", b'{"id": "x", "named": "tribe"}', b"\xff"])
def test_a_damaged_order_is_named_and_keeps_no_other_from_its_turn(tmp_path: Path, data: bytes) -> None:
    place = installed(tmp_path)
    place.trees.store.put_if_absent("erasures/00000000-damaged.json", data)
    order = forgetting.forget(APP, place.places())
    assert not {each.id for each in MINE} & set(ids(place.lake, INFERENCE))
    went: list[str] = []
    with pytest.raises(OrderDamaged, match=r"erasures/00000000-damaged\.json: .*restore it from a backup"):
        went.extend(each.id for each in forgetting.resume(place.places()))
    assert went == [order.id]
    assert forgetting.forget(SHOP, place.places()).id != order.id


def test_a_copy_of_an_order_is_named_and_is_none(tmp_path: Path) -> None:
    place = installed(tmp_path)
    order = forgetting.forget(APP, place.places())
    store = place.trees.store
    store.put_if_absent("erasures/copy.json", store.get(f"erasures/{order.id}.json").data)
    with pytest.raises(OrderDamaged, match=f"id is '{order.id}', expected 'copy'"):
        list(forgetting.resume(place.places()))
    assert [each.order.id for each in orders(store).readable] == [order.id]


@pytest.mark.parametrize("kind", ["replies", "labels"])
def test_damaged_ids_are_named_and_only_their_order_waits(tmp_path: Path, kind: str) -> None:
    place = installed(tmp_path)
    damaged, other = forgetting.forget(APP, place.places()), forgetting.forget(SHOP, place.places())
    key = next(place.trees.store.list(f"erasures/{damaged.id}/{kind}"))
    objects.replace(place.trees.store, key, b"[1]")
    went: list[str] = []
    with pytest.raises(OrderDamaged, match=f"{key}: "):
        went.extend(each.id for each in forgetting.resume(place.places()))
    assert went == [other.id]
    with pytest.raises(OrderDamaged, match=f"{key}: "):
        forgetting.forget(APP, place.places())
    assert forgetting.forget(NamedPerson("client", "key", "new"), place.places()).looked_ms


def test_where_several_orders_fail_each_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = installed(tmp_path)
    forgetting.forget(APP, place.places())
    place.trees.store.put_if_absent("erasures/damaged.json", b"")

    def away(*_: object) -> None:
        raise OSError("the store is away")

    monkeypatch.setattr(forgetting, "carry_out", away)
    with pytest.raises(RuntimeError, match=r"damaged\.json.*; the store is away"):
        list(forgetting.resume(place.places()))
