"""A replica attests a version that came with a proof only once its engine gives it, whatever others say."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from serving.replica.adapters import Adapters, Unfit
from serving.replica.proofs import WITHOUT
from serving.routes.slots import WantedVersion
from streams.events import ReplicaAttested
from streams.identity import PROOF_FILE, adapter_key
from streams.kinds import ProofOutcome
from streams.proof import BrokenProof, Proof
from tests.serving.support.adapter_files import BASE, store
from tests.serving.support.replica import SETTINGS, ReplicaScene
from tests.support.folder import in_folder
from tests.support.proofs import PROOF

UNLIKE = {"a": -9.0, "b": -9.0}
NO_GAP = Proof(dtype="float32", impossible="its answers are its predecessor's")


@pytest.fixture
def place(tmp_path: Path) -> ReplicaScene:
    return ReplicaScene(tmp_path)


def gauge(version: str) -> float | None:
    return REGISTRY.get_sample_value("homeostat_replica_proof_failed_info", {"replica": "r1", "version": version})


async def test_what_does_not_give_its_proof_is_not_attested_and_the_log_and_a_metric_say_why(
    place: ReplicaScene,
) -> None:
    (one, d1), (two, d2) = place.adapter("1", PROOF), place.adapter("2", PROOF)
    place.route(1, {one: d1, two: d2}, one, canary=two)
    place.engine.apart[two] = 0.21
    await place.ours.reconcile(0.0)
    last = place.attested[-1]
    assert last.versions == {one: d1}
    assert (last.proofs[one].outcome, last.proofs[one].reason) == (ProofOutcome.GIVEN, "")
    shown = last.proofs[two]
    assert (shown.outcome, shown.distance, shown.tolerance) == (ProofOutcome.FAILED, 0.21, 0.2)
    assert "does not compute with this adapter" in shown.reason
    assert "0.21 nats from those expected, at most 0.2 may be, calculated in float32" in shown.reason
    assert place.engine.calls.count(f"load {two}") == 2, "it is loaded once more"
    assert (gauge(one), gauge(two)) == (0, 1)
    place.engine.apart.clear()
    await place.ours.reconcile(61.0)
    assert place.attested[-1].versions == {one: d1, two: d2}
    assert gauge(two) == 0
    place.route(2, {one: d1}, one)
    await place.ours.reconcile(62.0)
    assert list(place.attested[-1].proofs) == [one]
    assert gauge(two) is None


async def test_a_proof_decides_and_fingerprints_do_not(place: ReplicaScene) -> None:
    """Ten others that are wrong alike outvote nobody who can prove it, and nobody who cannot is voted right."""
    (one, d1), (two, d2) = place.adapter("1", PROOF), place.adapter("2", PROOF)
    place.route(1, {one: d1, two: d2}, one, canary=two)
    for number in range(10):
        seen = place.engine.logprobs_of(two, d2, place.root)
        place.peer(f"p{number}", {one: (d1, UNLIKE), two: (d2, seen)})
    place.engine.apart[two] = 3.0
    await place.ours.reconcile(0.0)
    assert place.attested[-1].versions == {one: d1}


@pytest.mark.parametrize(("proof", "why"), [(None, WITHOUT), (NO_GAP, NO_GAP.impossible)])
async def test_without_a_proof_the_fingerprints_vote_and_the_attestation_says_why(
    place: ReplicaScene, proof: Proof | None, why: str
) -> None:
    one, digest = place.adapter("1", proof)
    place.route(1, {one: digest}, one)
    place.peer("r2", {one: (digest, UNLIKE)})
    await place.ours.reconcile(0.0)
    assert place.attested[-1].versions == {}
    assert (place.attested[-1].proofs[one].outcome, place.attested[-1].proofs[one].reason) == (ProofOutcome.NONE, why)
    place.peer("r2", {one: (digest, place.engine.logprobs_of(one, digest, place.root))})
    await place.ours.reconcile(61.0)
    assert place.attested[-1].versions == {one: digest}
    assert place.engine.proven == []


async def test_a_served_version_that_no_longer_gives_its_proof_is_withdrawn_then_loaded_again(
    place: ReplicaScene,
) -> None:
    one, digest = place.adapter("1", PROOF)
    place.route(1, {one: digest}, one)
    await place.ours.reconcile(0.0)
    place.engine.apart[one] = 1.0
    place.engine.heals_on_load = True
    await place.ours.reconcile(61.0)  # asks again, in a task of its own
    await place.settled()
    before = len(place.attested)
    await place.ours.reconcile(61.5)
    assert [each.versions for each in place.attested[before:]] == [{}, {one: digest}]


async def test_an_engine_that_gave_its_proof_is_asked_a_part_of_it_again_and_all_where_that_is_not_given(
    place: ReplicaScene,
) -> None:
    """Its clients wait while it calculates."""
    one, digest = place.adapter("1", PROOF)
    place.route(1, {one: digest}, one)
    await place.ours.reconcile(0.0)
    for at_s in (61.0, 122.0):
        await place.ours.reconcile(at_s)
        await place.settled()
    assert place.engine.proven == [(one, 2), (one, 1), (one, 1)]
    place.engine.apart[one] = 1.0
    await place.ours.reconcile(183.0)
    await place.settled()
    assert place.engine.proven[3:] == [(one, 1), (one, 2)]


async def test_an_engine_that_does_not_answer_the_proof_attests_nothing_new(place: ReplicaScene) -> None:
    one, digest = place.adapter("1", PROOF)
    place.route(1, {one: digest}, one)
    place.engine.mute = True
    await place.ours.reconcile(0.0)
    assert place.attested[-1].versions == {}
    place.engine.mute = False
    await place.ours.reconcile(1.0)
    assert place.attested[-1].versions == {one: digest}


async def test_figures_that_move_by_rounding_are_no_news(place: ReplicaScene) -> None:
    one, digest = place.adapter("1", PROOF)
    place.route(1, {one: digest}, one)
    await place.ours.reconcile(0.0)
    first = place.attested[-1].proofs
    place.engine.apart[one] = 0.01
    await place.ours.reconcile(61.0)
    await place.settled()
    await place.ours.reconcile(61.5)
    assert place.attested[-1].proofs == first


async def test_where_proofs_are_not_required_a_failure_is_shown_and_served(tmp_path: Path) -> None:
    place = ReplicaScene(tmp_path, replace(SETTINGS, proof_required=False))
    one, digest = place.adapter("1", PROOF)
    place.route(1, {one: digest}, one)
    place.engine.apart[one] = 1.0
    await place.ours.reconcile(0.0)
    assert place.attested[-1].versions == {one: digest}
    assert place.attested[-1].proofs[one].outcome == ProofOutcome.FAILED
    place.peer("r2", {one: (digest, UNLIKE)})
    again = ReplicaScene(tmp_path, place.settings)
    again.routing = place.routing
    again.engine.apart[one], again.engine.computes[one] = 1.0, {"a": -7.0, "b": -1.0}
    await again.ours.reconcile(time.monotonic())
    assert again.attested[-1].versions == {}, "fingerprints that disagree are not served even so"


def test_a_proof_is_part_of_the_digest_and_cannot_be_taken_away_or_altered(tmp_path: Path) -> None:
    version, digest = store(tmp_path, "1", proof=PROOF)
    path, each = tmp_path / adapter_key("support", digest) / PROOF_FILE, WantedVersion("support", version, digest)
    adapters = Adapters(in_folder(tmp_path), BASE, 16)
    assert adapters.proof(each) == PROOF
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"tolerance": 0.2', b'"tolerance": 0.1'))
    with pytest.raises(Unfit, match="altered, or of another base"):
        adapters.proof(each)
    path.unlink()
    with pytest.raises(Unfit, match="altered, or of another base"):
        adapters.verified(each)
    path.write_bytes(content)
    assert adapters.loadable(each) == path.parent


def test_a_proof_that_proves_nothing_is_refused(tmp_path: Path) -> None:
    version, digest = store(tmp_path, "1", proof=msgspec.structs.replace(PROOF, tolerance=1.0))
    with pytest.raises(BrokenProof, match="a quarter of it at most"):
        Adapters(in_folder(tmp_path), BASE, 16).proof(WantedVersion("support", version, digest))


def test_attestations_of_earlier_releases_have_no_proofs_and_still_decode() -> None:
    old = b'{"replica":"r","url":"u","time_ms":1,"healthy":true,"base_model":"b","versions":{},"generations":{}}'
    assert msgspec.json.decode(old, type=ReplicaAttested).proofs == {}
