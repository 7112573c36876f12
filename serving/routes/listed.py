"""The list of side-cars that may be believed: names or patterns, each with an address and a key of its own."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from serving.routes.statement import signed_by
from serving.routes.trust import RefusalReason, RefusedAttestation, count
from serving.sidecar.settings import NAME, PLACE, ListedReplica, check_list, key_bytes
from streams import codec
from streams.events import ReplicaAttested
from streams.log.security.tls import TlsFiles, renewed

MOST_NAMES = 4_096  # whose addresses are remembered


@dataclass(frozen=True, slots=True)
class KnownReplica:
    """One replica by the list: where it is asked, and whose signature counts."""

    name: str
    entry: str  # that it fits
    url: str
    key: Ed25519PublicKey


class ReplicaList:
    """The list. A name of its own goes before patterns, a longer pattern before a shorter one."""

    def __init__(self, listed: Mapping[str, ListedReplica]) -> None:
        """Raise ValueError where an entry is wrong."""
        check_list(listed)
        self._entries = {name: listed[name] for name in sorted(listed, key=lambda each: ("*" in each, -len(each)))}
        self._files = {
            name: TlsFiles(entry.ca, entry.cert, entry.key, f'replicas."{name}".') for name, entry in listed.items()
        }
        self._by_url: dict[str, str] = {}  # address of each that was believed once -> its entry
        self.find = lru_cache(maxsize=MOST_NAMES)(self._find)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that need no pattern: they are asked though the log has nothing of them."""
        return tuple(name for name in self._entries if "*" not in name)

    def check(self, attestation: ReplicaAttested) -> KnownReplica:
        """Return the replica that an attestation is of. Raise RefusedAttestation."""
        known = self.find(attestation.replica)
        if known is None:
            raise RefusedAttestation(RefusalReason.UNLISTED, "no entry of [replicas] fits its name")
        if not attestation.signature:
            raise RefusedAttestation(RefusalReason.UNSIGNED, "it has no signature, and [replicas] wants one")
        if attestation.url != known.url:
            raise RefusedAttestation(RefusalReason.ADDRESS, f"it names {attestation.url}, the list {known.url}")
        if not signed_by(attestation, known.key):
            raise RefusedAttestation(RefusalReason.SIGNATURE, "its signature is not by the listed key")
        self._by_url[known.url] = known.entry
        return known

    def trusts(self, attestation: ReplicaAttested, known: ReplicaAttested | None) -> bool:
        """Return whether an attestation of the log counts: see `serving.routes.trust.Trust`. A copy of an earlier one
        does not, from any writer."""
        try:
            self.check(attestation)
            if known is not None and attestation.sequence < known.sequence:
                raise RefusedAttestation(
                    RefusalReason.SEQUENCE, f"its sequence is {attestation.sequence}, after {known.sequence}"
                )
            if attestation.nonce:
                raise RefusedAttestation(RefusalReason.NONCE, "it was made for one gateway, not for the log")
        except RefusedAttestation as refused:
            count(attestation.replica, refused)
            return False
        return True

    def answered(self, name: str, nonce: str, data: bytes) -> ReplicaAttested:
        """Return what came from a replica's address as the answer to the question `nonce`. Raise RefusedAttestation."""
        try:
            attestation = codec.decode(ReplicaAttested, data)
        except codec.Undecodable as error:
            raise RefusedAttestation(RefusalReason.MALFORMED, str(error)) from error
        if attestation.replica != name:
            raise RefusedAttestation(RefusalReason.NAME, f"it is of {attestation.replica}")
        self.check(attestation)
        if attestation.nonce != nonce:
            raise RefusedAttestation(RefusalReason.NONCE, "it answers another question")
        return attestation

    def tls(self, known: KnownReplica) -> ssl.SSLContext | None:
        """Return how to speak https with a replica; None where its entry names no file. Raise ValueError for files that
        never were what they should be."""
        return self._context(known.entry)

    def tls_at(self, url: str) -> ssl.SSLContext | None:
        """Return the same for the address of one that was believed; None for other addresses."""
        entry = self._by_url.get(url)
        return self._context(entry) if entry is not None else None

    def _context(self, entry: str) -> ssl.SSLContext | None:
        files = self._files[entry]
        return renewed(files) if files.named() else None

    def _find(self, name: str) -> KnownReplica | None:
        entry = self._entry(name)
        if entry is None:
            return None
        listed = self._entries[entry]
        key = Ed25519PublicKey.from_public_bytes(key_bytes(listed.public_key))
        return KnownReplica(name, entry, listed.url.replace(PLACE, name).rstrip("/"), key)

    def _entry(self, name: str) -> str | None:
        if not NAME.fullmatch(name):
            return None
        return next((pattern for pattern in self._entries if fnmatchcase(name, pattern)), None)
