"""Leases on retraining requests, in the log's order; pure.

The trainer whose claim is first holds the request until its lease ends, and renews the lease with every claim that it
makes before that. Another trainer's claim counts only once the lease has ended. All readers agree, because they read
the same order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streams.events import RetrainReported, RetrainRequested
from streams.kinds import RetrainStatus

ENDED = (RetrainStatus.PROMOTE, RetrainStatus.REJECT, RetrainStatus.INCONCLUSIVE, RetrainStatus.FAILED)
JUDGED = ENDED[:3]
HELD = (RetrainStatus.CLAIMED, RetrainStatus.TRAINING)


@dataclass(frozen=True, slots=True)
class Lease:
    """A trainer's hold on a request, and its end."""

    by: str
    until_ms: int


def holder(results: Iterable[RetrainReported], request_id: str) -> Lease | None:
    """Return the last lease of a request, ended or not; None where no trainer ever claimed it."""
    lease: Lease | None = None
    for each in results:
        if each.request_id != request_id or each.status not in HELD:
            continue
        if lease is None or each.by == lease.by or each.time_ms > lease.until_ms:
            lease = Lease(each.by, each.lease_until_ms)
    return lease


def owner(results: Iterable[RetrainReported], request_id: str, now_ms: int) -> str | None:
    """Return the trainer that holds the request now; None where none does."""
    lease = holder(results, request_id)
    return lease.by if lease is not None and lease.until_ms >= now_ms else None


def pending(
    requests: Sequence[RetrainRequested], results: Sequence[RetrainReported], me: str, now_ms: int
) -> list[RetrainRequested]:
    """Return the requests that have no result and that no other trainer holds, each once, in the order of the log."""
    ended = {each.request_id for each in results if each.status in ENDED}
    found: dict[str, RetrainRequested] = {}
    for request in requests:
        if request.id not in ended and owner(results, request.id, now_ms) in (None, me):
            found.setdefault(request.id, request)
    return list(found.values())


def namesakes(results: Iterable[RetrainReported], me: str, now_ms: int) -> set[str]:
    """Return other trainers that hold a request now and are called as `me` is: names are equal before the `@`."""
    known = list(results)
    holders = {owner(known, each.request_id, now_ms) for each in known if each.status in HELD} - {None, me}
    return {name for name in holders if name and name.partition("@")[0] == me.partition("@")[0]}


def attempt(request: RetrainRequested, requests: Iterable[RetrainRequested], results: Iterable[RetrainReported]) -> int:
    """Return the number of this verdict among those about the same alarm, from 1: each earlier one had its chance to
    err."""
    same = {each.id for each in requests if each.alarm_id == request.alarm_id and each.id != request.id}
    return 1 + len({each.request_id for each in results if each.request_id in same and each.status in JUDGED})
