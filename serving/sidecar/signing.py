"""A side-car's own attestations, signed: for the log, and for each gateway that asks, with its nonce."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from serving.replica.attester import ReplicaState
from serving.routes.statement import public_text, sign
from serving.settings import Replica
from streams.clock import now_ms
from streams.events import ReplicaAttested

log = structlog.get_logger()

NONCE = re.compile(r"[A-Za-z0-9_-]{16,128}")
REMEMBERED = 256  # sequences of the latest attestations, to know them again in the log
NOT_LOOKED_AT_S = 150.0  # a reconciler that looked at nothing for so long hangs: a load may take a minute


class NotAttested(RuntimeError):
    """Nothing can be attested now."""


@dataclass(slots=True)
class Attestations:
    """The signed attestations of one side-car. Sequences only grow: they are milliseconds of its clock, or one more
    than the last, its own of before in the log included."""

    replica: Replica
    base_model: str
    key: Ed25519PrivateKey
    clock_ms: Callable[[], int] = now_ms
    _sequence: int = 0
    _ours: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def public(self) -> str:
        """Return the public key as gateways list it."""
        return public_text(self.key)

    def seal(self, attestation: ReplicaAttested) -> ReplicaAttested:
        """Return it with a sequence of its own and the signature, from any thread."""
        with self._lock:
            self._sequence = max(self.clock_ms(), self._sequence + 1)
            if not attestation.nonce:
                self._ours.append(self._sequence)
            numbered = msgspec.structs.replace(attestation, sequence=self._sequence)
        return sign(numbered, self.key)

    def answer(self, state: ReplicaState | None, confirmed_s: float, nonce: str) -> ReplicaAttested:
        """Return the state for the gateway that asks, signed. `confirmed_s`: when the state was looked at last, by the
        monotonic clock. Raise NotAttested, or ValueError for a nonce that is none."""
        if not NONCE.fullmatch(nonce):
            raise ValueError("nonce: expected 16 to 128 letters, digits, '_' and '-', new for each question")
        if state is None:
            raise NotAttested("the engine was not looked at yet")
        if not state.gone and (age_s := time.monotonic() - confirmed_s) > NOT_LOOKED_AT_S:
            raise NotAttested(f"the engine was last looked at {age_s:.0f} s ago")
        attestation = state.attested(self.replica, self.base_model, self.clock_ms())
        return self.seal(msgspec.structs.replace(attestation, nonce=nonce))

    def before(self, attestation: ReplicaAttested | None) -> None:
        """Take what the log had of this replica at the start: later sequences are higher, whatever the clock shows."""
        if attestation is not None and attestation.replica == self.replica.name:
            with self._lock:
                self._sequence = max(self._sequence, attestation.sequence)

    def came(self, attestation: ReplicaAttested) -> None:
        """Notice a process that attests under the same name: gateways believe the one at the list's address alone."""
        if attestation.replica != self.replica.name or attestation.gone:
            return
        with self._lock:
            strange = attestation.sequence not in self._ours
            self._sequence = max(self._sequence, attestation.sequence)
        if strange:
            log.error(
                "another side-car attests under this name: give each its own replica.name",
                replica=self.replica.name,
                other=attestation.url,
            )


def read_key(pem: bytes) -> Ed25519PrivateKey:
    """Return the private key of a PEM file. Raise ValueError where it holds another one, or none."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"is no private key without a password in PEM: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"holds a {type(key).__name__}, expected Ed25519: openssl genpkey -algorithm ed25519")
    return key
