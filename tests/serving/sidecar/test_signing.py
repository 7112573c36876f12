"""Sequences only grow, whatever the clock shows; a second process of one name is noticed."""

from __future__ import annotations

import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from structlog.testing import capture_logs

from serving.replica.attester import GONE, ReplicaState
from serving.settings import Replica
from serving.sidecar.signing import NOT_LOOKED_AT_S, Attestations, NotAttested, read_key
from tests.serving.support.side_cars import KEY, plain

NONCE = "0123456789abcdef"
STATE = ReplicaState(True, {}, {}, {}, {})


def of(clock_ms: int = 1_000) -> Attestations:
    return Attestations(Replica("r1", "http://r1"), "base", KEY, lambda: clock_ms)


def test_a_clock_that_went_back_makes_no_lower_sequence() -> None:
    ours = of(clock_ms=1_000)
    ours.before(plain(sequence=601_000))
    assert [ours.seal(plain()).sequence for _ in range(3)] == [601_001, 601_002, 601_003]


def test_another_replicas_sequence_is_not_its_own() -> None:
    ours = of(clock_ms=1_000)
    ours.before(plain("r2", sequence=601_000))
    assert ours.seal(plain()).sequence == 1_000


def test_a_second_process_of_one_name_is_noticed() -> None:
    ours = of()
    mine = ours.seal(plain())
    with capture_logs() as logs:
        ours.came(mine)
        ours.came(plain("r2", sequence=5))
        assert logs == []
        ours.came(plain(url="http://another", sequence=2_000))
    assert logs[0]["other"] == "http://another"
    assert ours.seal(plain()).sequence == 2_001


def test_a_reconciler_that_hangs_attests_nothing() -> None:
    ours, now = of(), time.monotonic()
    assert ours.answer(STATE, now, NONCE).healthy
    with pytest.raises(NotAttested, match="last looked at 2"):
        ours.answer(STATE, now - NOT_LOOKED_AT_S - 60, NONCE)
    with pytest.raises(NotAttested, match="not looked at yet"):
        ours.answer(None, now, NONCE)
    assert ours.answer(GONE, now - 1_000, NONCE).gone


def test_a_key_of_another_kind_is_named() -> None:
    made = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match="expected Ed25519: openssl genpkey"):
        read_key(made)
    with pytest.raises(ValueError, match="no private key"):
        read_key(b"nothing")
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert read_key(pem).private_bytes_raw() == KEY.private_bytes_raw()
