"""A side-car's signature under an attestation: Ed25519 (RFC 8032) over a canonical encoding of what it says.

The bytes are those of a list of fields, so that the JSON of the log never decides what was signed. Not
among them: `time_ms`, for the readers of an attestation set it to the time of its arrival by their own clock."""

from __future__ import annotations

import base64
from binascii import Error as NoBase64

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from streams.events import ReplicaAttested

# Raised where the list of fields changes, or one of their types does: readers of the former one refuse the new.
EDITION = b"homeostat attestation 1\0"
SIGNED = (
    *("replica", "url", "base_model", "healthy", "gone", "versions", "generations", "probes", "proofs"),
    *("sequence", "nonce", "by"),
)


def statement(attestation: ReplicaAttested) -> bytes:
    """Return the bytes that are signed: equal for equal fields, in whatever order their parts came."""
    fields = {name: getattr(attestation, name) for name in SIGNED}
    return EDITION + msgspec.json.encode(fields, order="sorted")


def sign(attestation: ReplicaAttested, key: Ed25519PrivateKey) -> ReplicaAttested:
    """Return the attestation with the key's signature."""
    signature = base64.b64encode(key.sign(statement(attestation))).decode()
    return msgspec.structs.replace(attestation, signature=signature)


def signed_by(attestation: ReplicaAttested, key: Ed25519PublicKey) -> bool:
    """Return whether the owner of the key signed what the attestation says.

    >>> key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    >>> plain = ReplicaAttested(
    ...     replica="r1", url="http://r1", time_ms=1, healthy=True, base_model="b", versions={}, generations={}
    ... )
    >>> signed = sign(plain, key)
    >>> signed_by(signed, key.public_key()), signed_by(plain, key.public_key())
    (True, False)
    >>> signed_by(msgspec.structs.replace(signed, url="http://other"), key.public_key())
    False
    """
    try:
        key.verify(base64.b64decode(attestation.signature, validate=True), statement(attestation))
    except (InvalidSignature, NoBase64, ValueError):
        return False
    return True


def public_text(key: Ed25519PrivateKey) -> str:
    """Return the public key as `[replicas]` lists it."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()
