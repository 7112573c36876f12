"""Proofs of effect by the job's code: what an engine must compute with to give them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from retrain.adapters import commit
from retrain.training.prompting import load_tokenizer
from retrain.training.proofs import proof as proofs
from retrain.training.proofs.serving_model import ServingModel
from streams.identity import PROOF_FILE
from streams.kinds import ProofOutcome
from streams.proof import encode, needed_gap, read
from tests.retrain.support.faulty_engine import KINDS, trained_on, written
from tests.retrain.support.proven_adapter import Bases, ProvenAdapter
from tests.support.folder import in_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    return Bases.made(tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def made(bases: Bases, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> ProvenAdapter:
    return ProvenAdapter.made(bases, tmp_path_factory.mktemp("made") / "try", request.param, seed=5)


def test_a_replica_whose_engine_computes_with_the_adapter_attests_it(made: ProvenAdapter) -> None:
    found = made.right()
    assert found.versions == {made.adapter.version: made.adapter.digest}
    assert found.proofs[made.adapter.version].outcome == ProofOutcome.GIVEN


@pytest.mark.parametrize("kind", KINDS)
def test_a_replica_whose_engine_computes_with_something_else_does_not(made: ProvenAdapter, kind: str) -> None:
    """`tests.bench.retrain.proof` tries each a hundred times."""
    found = made.wrong(kind)
    assert found.versions == {}
    assert found.proofs[made.adapter.version].outcome == ProofOutcome.FAILED


def test_the_tolerance_is_a_quarter_of_the_smallest_gap_at_most_and_above_the_noise(made: ProvenAdapter) -> None:
    proof = made.proof
    assert proof == read(made.adapter.path)
    gaps = [gap for row in proof.rows for gap in row.gaps.values()]
    assert {name for row in proof.rows for name in row.gaps} == {"base", "predecessor"}
    assert 0 < needed_gap(proof.tolerance) <= min(gaps)
    assert proof.tolerance >= proofs.ROOM * proof.noise
    assert min(proof.faults.values()) > proof.tolerance
    assert list(proof.faults) == ["half its strength", *(f"layer {number} lost" for number in range(4))]


def test_the_rows_are_those_where_the_adapter_differs_most(made: ProvenAdapter) -> None:
    prefixes = [row.prefix for row in made.proof.rows]
    drawn = proofs.drawn(load_tokenizer(made.bases.right))
    assert len(prefixes) == proofs.ROWS < len(drawn)
    assert all(prefix in drawn for prefix in prefixes)
    smallest = [min(row.gaps.values()) for row in made.proof.rows]
    assert smallest == sorted(smallest, reverse=True)


def test_the_same_adapter_has_the_same_proof(made: ProvenAdapter) -> None:
    again = proofs.proof(made.root / "after", made.bases.right, made.before, made.dtype)
    assert encode(again) == encode(made.proof)


def test_prefixes_hold_no_clients_words(bases: Bases, tmp_path: Path) -> None:
    """They depend on the tokenizer and on nothing else, so that an adapter's folder needs no erasure."""
    tokenizer = load_tokenizer(bases.right)
    assert proofs.drawn(tokenizer) == proofs.drawn(tokenizer)
    assert len({tuple(prefix) for prefix in proofs.drawn(tokenizer)}) == proofs.DRAWN


def test_one_that_does_as_its_predecessor_does_has_no_proof_and_says_why(made: ProvenAdapter, tmp_path: Path) -> None:
    folder = shutil.copytree(made.before, tmp_path / "same")
    proof = proofs.write_proof(folder, made.bases.right, made.before, made.dtype)
    assert proof.rows == []
    assert "differ from the base model's or its predecessor's by 0 nats" in proof.impossible
    assert read(folder) == proof


def test_without_a_predecessor_the_base_model_is_what_it_is_told_from(bases: Bases, tmp_path: Path) -> None:
    made = ProvenAdapter.made(bases, tmp_path / "try", "float32", seed=6)
    proof = proofs.proof(made.before, bases.right, None, "float32")
    assert {name for row in proof.rows for name in row.gaps} == {"base"}


def test_a_model_that_cannot_be_calculated_with_leaves_the_adapter_without_a_proof(
    made: ProvenAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("not enough memory: you tried to allocate 17179869184 bytes")

    monkeypatch.setattr(ServingModel, "load", full)
    found = proofs.proof(made.root / "after", made.bases.right, made.before, "float32")
    assert "could not be calculated in float32: not enough memory" in found.impossible


def test_the_store_keeps_the_proof_and_the_digest_tells_it(made: ProvenAdapter, tmp_path: Path) -> None:
    folder = written(tmp_path / "new", trained_on(made.tensors, 9, share=0.0))
    bare = commit(folder, in_folder(tmp_path), "support", made.bases.id)
    (folder / PROOF_FILE).write_bytes(encode(made.proof))
    proven = commit(folder, in_folder(tmp_path), "support", made.bases.id)
    (folder / PROOF_FILE).write_bytes(encode(msgspec.structs.replace(made.proof, noise=0.001)))
    other = commit(folder, in_folder(tmp_path), "support", made.bases.id)
    assert len({bare.digest, proven.digest, other.digest}) == 3
    assert (read(bare.path), read(proven.path)) == (None, made.proof)


@pytest.mark.parametrize(
    ("asked", "device", "own", "dtype"),
    [
        ("bfloat16", "cpu", "float32", "bfloat16"),
        ("auto", "cpu", "bfloat16", "float32"),
        ("auto", "cuda", "float16", "float16"),
        ("auto", "cuda", "float32", "bfloat16"),
    ],
)
def test_answers_are_calculated_in_the_type_that_serves(
    bases: Bases, tmp_path: Path, asked: str, device: str, own: str, dtype: str
) -> None:
    import torch

    folder = shutil.copytree(bases.right, tmp_path / "model")
    config: dict[str, object] = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": own}))
    assert proofs.serving_dtype(asked, folder, torch.device(device)) == dtype
