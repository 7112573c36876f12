"""A replica serves what routes want, from verified bytes, and leaves alone what is not ours."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from serving.settings import ControllerSettings
from streams.events import ReplicaAttested
from streams.identity import adapter_key
from streams.proof import Probe
from tests.serving.support.adapter_files import store, weights
from tests.serving.support.replica import SETTINGS, EngineFake, ReplicaScene

WEIGHTS = "adapter_model.safetensors"
WRONG = {"a": -9.0, "b": -9.0}  # what no adapter's bytes give


@pytest.fixture
def place(tmp_path: Path) -> ReplicaScene:
    return ReplicaScene(tmp_path)


async def test_it_loads_attests_drains_and_unloads(place: ReplicaScene) -> None:
    (one, d1), (two, d2) = place.adapter("1"), place.adapter("2")
    place.route(1, {one: d1, two: d2}, one, canary=two)
    await place.ours.reconcile(0.0)
    assert place.attested[-1].versions == {one: d1, two: d2}
    assert place.attested[-1].generations == {"support": 1}
    place.route(2, {one: d1}, one)
    await place.ours.reconcile(1.0)
    assert two in place.engine.names
    assert place.attested[-1].versions == {one: d1}
    await place.ours.reconcile(6.1)
    assert two not in place.engine.names
    assert "evaluation-support-0123456789ab" in place.engine.names


async def test_an_engines_end_is_attested_at_once_and_its_restart_once_it_serves(
    place: ReplicaScene,
) -> None:
    (one, d1), (two, d2) = place.adapter("1"), place.adapter("2")
    place.route(1, {one: d1, two: d2}, one, previous=two)
    await place.ours.reconcile(0.0)
    place.engine.away = True
    await place.ours.reconcile(0.5)
    assert (place.attested[-1].healthy, place.attested[-1].versions) == (False, {})
    place.engine.restart()
    before, probed = len(place.attested), len(place.engine.probed)
    await place.ours.reconcile(1.0)
    assert [(each.healthy, set(each.versions)) for each in place.attested[before:]] == [
        (True, {one}),
        (True, {one, two}),
    ]
    assert place.engine.probed[probed:] == [one, two]
    assert place.engine.calls_to_warm == 2, "once an engine's life"


async def test_altered_bytes_are_neither_loaded_nor_attested(place: ReplicaScene) -> None:
    (one, d1), (two, d2) = place.adapter("1"), place.adapter("2")
    ((place.root / adapter_key("support", d2)) / WEIGHTS).write_bytes(weights("altered"))
    place.route(1, {one: d1, two: d2}, one, canary=two)
    await place.ours.reconcile(0.0)
    assert place.engine.calls == [f"load {one}"]
    assert place.attested[-1].versions == {one: d1}
    assert place.attested[-1].healthy


async def test_bytes_that_change_while_they_are_loaded_do_not_stay(place: ReplicaScene) -> None:
    one, digest = place.adapter("1")
    path = (place.root / adapter_key("support", digest)) / WEIGHTS
    place.engine.on_load = lambda: path.write_bytes(weights("altered"))
    place.route(1, {one: digest}, one)
    await place.ours.reconcile(0.0)
    assert place.engine.calls == [f"load {one}", f"unload {one}"]
    assert place.attested[-1].versions == {}
    path.write_bytes(weights("1"))
    place.engine.on_load = lambda: 0
    await place.ours.reconcile(0.5)
    assert place.attested[-1].versions == {one: digest}


async def test_a_missing_folder_and_a_wrong_name_stop_no_one_else(place: ReplicaScene) -> None:
    one, d1 = place.adapter("1")
    ghost, lie = "support-eeeeeeeeeeee", "support-dddddddddddd"
    adapters = {one: d1, ghost: "e" * 64, lie: d1}
    place.route(1, adapters, one, canary=ghost, previous=lie)
    await place.ours.reconcile(0.0)
    assert place.attested[-1].versions == {one: d1}


async def test_other_bytes_under_a_versions_name_are_replaced(place: ReplicaScene) -> None:
    one, digest = place.adapter("1")
    place.engine.names[one] = "/tmp/other"
    place.route(1, {one: digest}, one)
    await place.ours.reconcile(0.0)
    assert place.engine.calls == [f"unload {one}", f"load {one}"]
    await place.ours.reconcile(1.0)
    assert len(place.engine.calls) == 2


async def test_a_plan_without_room_keeps_the_champions(tmp_path: Path) -> None:
    place = ReplicaScene(tmp_path, ControllerSettings(max_loras=2))
    (one, d1), (two, d2) = place.adapter("1"), place.adapter("2")
    other, d3 = store(tmp_path, "3", "billing")
    place.route(1, {one: d1, two: d2}, one, canary=two)
    place.route(1, {other: d3}, other, alias="billing")
    await place.ours.reconcile(0.0)
    assert (place.attested[-1].healthy, place.attested[-1].versions) == (True, {one: d1, other: d3})


async def test_a_rank_too_high_is_not_loaded_and_keeps_no_one_out(place: ReplicaScene) -> None:
    (one, d1), (two, d2) = place.adapter("1"), store(place.root, "2", r=64)
    place.route(1, {one: d1, two: d2}, one, canary=two)
    await place.ours.reconcile(0.0)
    assert place.engine.calls == [f"load {one}"]
    assert place.attested[-1].versions == {one: d1}


async def test_a_slot_that_no_one_wants_any_more_is_given_up_at_once_where_it_is_needed(tmp_path: Path) -> None:
    place = ReplicaScene(tmp_path, ControllerSettings(max_loras=2, drain_s=60.0))
    (one, d1), (two, d2), (three, d3) = (place.adapter(text) for text in "123")
    place.route(1, {one: d1, two: d2}, one, previous=two)
    await place.ours.reconcile(0.0)
    place.route(2, {three: d3, one: d1}, three, previous=one)
    await place.ours.reconcile(0.1)
    assert place.attested[-1].versions == {three: d3, one: d1}
    assert two not in place.engine.names


async def test_it_speaks_on_change_and_now_and_then(place: ReplicaScene) -> None:
    one, digest = place.adapter("1")
    place.route(1, {one: digest}, one)
    for now in (0.0, 1.0, 4.9, 5.1, 6.0):
        await place.ours.reconcile(now)
    assert len(place.attested) == 2


async def test_versions_of_unknown_aliases_are_left_alone(place: ReplicaScene) -> None:
    place.engine.names["stranger-0123456789ab"] = "/x"
    one, digest = place.adapter("1")
    place.route(1, {one: digest}, one)
    await place.ours.reconcile(0.0)
    await place.ours.reconcile(100.0)
    assert "stranger-0123456789ab" in place.engine.names


@pytest.mark.parametrize("woken", [True, False])
async def test_a_new_route_is_followed_at_once(tmp_path: Path, woken: bool) -> None:
    rarely = replace(SETTINGS, engine_poll_s=60.0, attest_every_s=60.0)  # so that only the route makes it look again
    place = ReplicaScene(tmp_path, rarely)
    (one, d1), (two, d2) = place.adapter("1"), place.adapter("2")
    place.route(1, {one: d1}, one)
    async with place.running():
        await place.until(lambda: place.attested[-1].versions == {one: d1})
        began = time.monotonic()
        place.route(2, {one: d1, two: d2}, two, previous=one)
        if woken:
            await asyncio.to_thread(place.ours.wake)
        await place.until(lambda: place.attested[-1].versions == {one: d1, two: d2})
        assert time.monotonic() - began < rarely.attest_every_s / 2


async def test_a_log_that_is_away_keeps_no_engine_from_being_looked_after(place: ReplicaScene) -> None:
    one, digest = place.adapter("1")
    place.route(1, {one: digest}, one)
    place.log_away = True
    await place.ours.reconcile(0.0)
    assert place.engine.calls == [f"load {one}"]
    place.log_away = False
    await place.ours.reconcile(0.5)
    assert place.attested[-1].versions == {one: digest}


@pytest.mark.slow
async def test_a_log_that_answers_late_is_waited_for_only_a_moment(
    place: ReplicaScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.replica.attester.PATIENCE_S", 0.05)
    (one, d1), (two, d2) = place.adapter("1"), place.adapter("2")
    place.route(1, {one: d1}, one)
    place.log_takes_s = 3.0
    await place.ours.reconcile(0.0)
    place.route(2, {two: d2, one: d1}, two, previous=one)
    began = time.monotonic()
    await place.ours.reconcile(0.1)
    assert time.monotonic() - began < place.log_takes_s - 0.5
    assert two in place.engine.names
    await place.until(lambda: bool(place.attested) and place.attested[-1].versions == {one: d1, two: d2})


async def test_an_engine_that_computes_with_other_weights_is_found_out(place: ReplicaScene) -> None:
    """The digest is right, the path is right, the answers are not."""
    one, digest = place.adapter("1")
    place.route(1, {one: digest}, one)
    place.peer("r2", {one: (digest, place.engine.logprobs_of(one, digest, place.root))})
    place.engine.computes[one] = WRONG
    await place.ours.reconcile(0.0)
    assert place.engine.calls == [f"load {one}", f"unload {one}", f"load {one}"]
    assert place.attested[-1].versions == {}
    assert place.attested[-1].probes[one].logprobs == WRONG
    calls = len(place.engine.calls)
    await place.ours.reconcile(30.0)
    assert len(place.engine.calls) == calls
    del place.engine.computes[one]
    place.peer("r2", {one: (digest, place.engine.logprobs_of(one, digest, place.root))})
    await place.ours.reconcile(61.0)
    assert place.attested[-1].versions == {one: digest}


async def test_a_served_version_whose_answers_change_is_withdrawn_then_loaded_again(place: ReplicaScene) -> None:
    one, digest = place.adapter("1")
    place.route(1, {one: digest}, one)
    await place.ours.reconcile(0.0)
    place.engine.computes[one] = WRONG
    place.engine.heals_on_load = True
    await place.ours.reconcile(61.0)  # probes again, in a task of its own
    await place.settled()
    before = len(place.attested)
    await place.ours.reconcile(61.5)
    assert [each.versions for each in place.attested[before:]] == [{}, {one: digest}]
    assert place.engine.calls == [f"load {one}", f"unload {one}", f"load {one}"]


async def test_no_answer_to_a_probe_withdraws_nothing_and_attests_nothing(place: ReplicaScene) -> None:
    (one, d1), (two, d2) = place.adapter("1"), place.adapter("2")
    place.route(1, {one: d1}, one)
    await place.ours.reconcile(0.0)
    place.engine.mute = True
    await place.ours.reconcile(61.0)
    await place.settled()
    place.route(2, {one: d1, two: d2}, one, canary=two)
    await place.ours.reconcile(61.5)
    assert place.attested[-1].versions == {one: d1}
    place.engine.mute = False
    await place.ours.reconcile(62.0)
    assert place.attested[-1].versions == {one: d1, two: d2}


async def test_what_an_engine_refuses_is_tried_ever_less_often(place: ReplicaScene) -> None:
    one, digest = place.adapter("1")
    place.route(1, {one: digest}, one)
    place.engine.mute = True
    tries = []
    for half_seconds in range(40):
        asked = place.engine.probes_refused
        await place.ours.reconcile(half_seconds / 2)
        tries += [half_seconds / 2] if place.engine.probes_refused > asked else []
    assert tries == [0.0, 0.5, 1.5, 3.5, 7.5, 12.5, 17.5]


async def test_what_it_showed_before_it_was_started_again_still_counts(place: ReplicaScene) -> None:
    one, digest = place.adapter("1")
    place.route(1, {one: digest}, one)
    await place.ours.reconcile(0.0)
    last = place.attested[-1]
    again = ReplicaScene(place.root, settings=place.settings)
    again.routing = place.routing.with_attestation(msgspec.structs.replace(last, healthy=False, versions={}))
    again.engine.computes[one] = WRONG
    await again.ours.reconcile(0.0)
    assert again.attested[-1].versions == {}
    assert again.attested[-1].probes[one] == Probe(
        logprobs=last.probes[one].logprobs, since_ms=last.probes[one].since_ms, differing=WRONG
    )


async def test_old_attestations_have_no_fingerprints_and_still_decode() -> None:
    old = b'{"replica":"r","url":"u","time_ms":1,"healthy":true,"base_model":"b","versions":{},"generations":{}}'
    assert msgspec.json.decode(old, type=ReplicaAttested).probes == {}


async def test_an_adapter_without_effect_is_served_and_reported(place: ReplicaScene) -> None:
    one, digest = place.adapter("1")
    place.route(1, {one: digest}, one)
    place.engine.computes[one] = EngineFake.BASE_LOGPROBS
    with place.logged() as logged:
        await place.ours.reconcile(0.0)
        await place.settled()
    assert place.attested[-1].versions == {one: digest}
    assert [each["event"] for each in logged].count("adapter without effect: it answers as the base model") == 1


@pytest.mark.parametrize("digest", ["../../../0123456789ab", "/0123456789ab", "", ".0123456789ab"])
async def test_a_route_whose_digest_is_none_holds_up_no_other(place: ReplicaScene, digest: str) -> None:
    good, right = place.adapter("1")
    bad = "support-0123456789ab"
    place.route(1, {bad: digest, good: right}, good, canary=bad)
    await place.ours.reconcile(0.0)
    assert place.attested[-1].versions == {good: right}
    assert bad not in place.engine.names
