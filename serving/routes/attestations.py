"""The replicas whose attestations count, and whether they all serve a version: pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from serving.settings import ControllerSettings
from streams.events import ReplicaAttested

STALE_PERIODS = 3  # an attestation older than this many periods is no longer true
STALE_AT_LEAST_S = 15.0
GONE_AFTER_S = 86_400.0  # of silence while others attest: it was taken away


def stale_after_s(settings: ControllerSettings) -> float:
    """Return how old an attestation may be."""
    return max(STALE_PERIODS * settings.attest_every_s, STALE_AT_LEAST_S)


def fresh(settings: ControllerSettings, replicas: Iterable[ReplicaAttested], now_ms: int) -> list[ReplicaAttested]:
    """Return the replicas that attest that they are healthy."""
    oldest = now_ms - 1000 * stale_after_s(settings)
    return [replica for replica in replicas if replica.healthy and replica.time_ms >= oldest]


def by_arrival(
    attestation: ReplicaAttested, known: Iterable[ReplicaAttested | None], now_ms: int, logged_ms: int | None = None
) -> ReplicaAttested:
    """Return an attestation with the time when it came here, for the clock of its sender is its own; a side-car's that
    came before, among `known`, is as old as it was. `logged_ms`: when the log took one that is read of the past, which
    is a controller's age: one that has ended must not seem to attest now."""
    if not attestation.signature:
        return msgspec.structs.replace(attestation, time_ms=now_ms if logged_ms is None else logged_ms)
    same = (each for each in known if each is not None and each.sequence == attestation.sequence)
    return next(same, msgspec.structs.replace(attestation, time_ms=now_ms))


def present(replicas: Iterable[ReplicaAttested]) -> list[ReplicaAttested]:
    """Return the replicas that are not gone for good: the log keeps each replica's last attestation for ever, that of
    one that was taken away too, which may say so itself. A day without any attestation takes none away."""
    known = list(replicas)
    latest_ms = max((replica.time_ms for replica in known), default=0)
    return [each for each in known if not each.gone and latest_ms - each.time_ms <= 1000 * GONE_AFTER_S]


def everywhere(replicas: Iterable[ReplicaAttested], version: str, digest: str) -> bool:
    """Return whether every replica, and at least one, serves the version's very bytes."""
    serving = [replica.versions.get(version) == digest for replica in replicas]
    return bool(serving) and all(serving)
