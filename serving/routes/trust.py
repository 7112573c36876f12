"""The attestations of the log that count: of one's own engines, unsigned; or of listed side-cars, signed."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection
from enum import StrEnum
from urllib.parse import urlsplit

import structlog

from serving import metrics
from streams.events import ReplicaAttested

log = structlog.get_logger()

# Whether an attestation counts; `known`: the one of the same replica that counted last
Trust = Callable[[ReplicaAttested, ReplicaAttested | None], bool]


class RefusalReason(StrEnum):
    """Why an attestation is refused: nothing is sent to its replica for it."""

    UNLISTED = "unlisted"  # no entry of the list fits its name
    UNSIGNED = "unsigned"  # a list is set, and it has no signature
    NAME = "name"  # another replica's than the one that was asked
    ADDRESS = "address"  # another address than the list's, or one that is not this machine's
    SIGNATURE = "signature"  # forged, altered, or by another key than the list's
    NONCE = "nonce"  # an answer to another question: replayed
    SEQUENCE = "sequence"  # in the log again, after a later one: replayed
    MALFORMED = "malformed"  # not what a side-car answers
    STALE = "stale"  # none came for too long


class RefusedAttestation(ValueError):
    """An attestation that does not count."""

    def __init__(self, reason: RefusalReason, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def everyone(attestation: ReplicaAttested, known: ReplicaAttested | None) -> bool:
    """Return that it counts."""
    return True


def own_engines(urls: Collection[str]) -> Trust:
    """Return what an installation without side-cars believes: a controller's attestations of engines at these
    addresses, or on this machine. A signature is nothing that it could check."""
    known_urls = frozenset(urls)

    def trusted(attestation: ReplicaAttested, known: ReplicaAttested | None) -> bool:
        if attestation.signature:
            count(
                attestation.replica,
                RefusedAttestation(RefusalReason.UNLISTED, "it is a side-car's, and [replicas] lists none"),
            )
        elif attestation.url in known_urls or is_loopback(attestation.url):
            return True
        else:
            count(
                attestation.replica,
                RefusedAttestation(RefusalReason.ADDRESS, f"{attestation.url} is no engine of this installation"),
            )
        return False

    return trusted


def count(replica: str, refused: RefusedAttestation) -> None:
    """Count a refusal, and log it."""
    metrics.ATTESTATIONS_REFUSED.labels(refused.reason.value).inc()
    log.warning("attestation refused", replica=replica, reason=refused.reason.value, error=str(refused))


def is_loopback(url: str) -> bool:
    """Return whether an address is one of this machine's alone.

    >>> is_loopback("http://127.0.0.1:8001"), is_loopback("http://localhost:1"), is_loopback("http://10.0.0.1")
    (True, True, False)
    """
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
