"""A signature holds for what was signed and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from serving.routes.statement import SIGNED, public_text, sign, signed_by, statement
from streams import codec
from streams.events import ReplicaAttested
from streams.kinds import ProofOutcome
from streams.proof import Probe, ProofShown
from tests.serving.support.side_cars import KEY, OTHER_KEY, altered, plain, signed

OTHERS: dict[str, Any] = {
    "replica": "r2",
    "url": "http://r2",
    "base_model": "other",
    "healthy": False,
    "gone": True,
    "versions": {"support-bbbbbbbbbbbb": "b" * 64},
    "generations": {"support": 2},
    "probes": {"support-bbbbbbbbbbbb": Probe(logprobs={"a": -1.0}, since_ms=1)},
    "proofs": {"support-bbbbbbbbbbbb": ProofShown(outcome=ProofOutcome.NONE, since_ms=1)},
    "sequence": 8,
    "nonce": "another",
    "by": "another",
}


@pytest.mark.parametrize("field", SIGNED)
def test_no_field_can_be_altered(field: str) -> None:
    assert not signed_by(altered(signed(), **{field: OTHERS[field]}), KEY.public_key())


def test_every_field_is_signed_but_those_that_readers_set() -> None:
    fields = set(ReplicaAttested.__struct_fields__) - {"schema_version", "signature", "time_ms"}
    assert fields == set(SIGNED) == set(OTHERS)


def test_the_time_is_the_readers() -> None:
    assert signed_by(altered(signed(), time_ms=99), KEY.public_key())


def test_the_order_of_names_and_the_way_through_the_log_change_nothing() -> None:
    one, other = plain(versions={"a": "1", "b": "2"}), plain(versions={"b": "2", "a": "1"})
    assert statement(one) == statement(other)
    probes = {"a": Probe(logprobs={"z": -0.1, "b": -1e-9}, since_ms=5, engine="é")}
    through = codec.decode(ReplicaAttested, codec.encode(sign(plain(probes=probes), KEY)))
    assert signed_by(through, KEY.public_key())


@pytest.mark.parametrize("signature", ["", "AAAA", "no base64!", "é", signed(key=OTHER_KEY).signature])
def test_no_other_signature_holds(signature: str) -> None:
    assert not signed_by(altered(signed(), signature=signature), KEY.public_key())


def test_records_from_before_signatures_are_read() -> None:
    old = b'{"replica":"e","url":"u","time_ms":1,"healthy":true,"base_model":"b","versions":{},"generations":{}}'
    read = codec.decode(ReplicaAttested, old)
    assert (read.signature, read.nonce, read.sequence, read.gone) == ("", "", 0, False)


def test_a_public_key_is_32_bytes_in_base64() -> None:
    assert len(public_text(KEY)) == 44
