"""Who works on which request: leases in the log's order; pure.

The first claim of a request wins it until its lease ends, and keeps it with every claim it makes before that. A later
claim by somebody else wins only once the lease has ended. All readers agree, because they read the same order."""

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
    """Who holds a request, and until when."""

    by: str
    until_ms: int


def holder(results: Iterable[RetrainReported], request_id: str) -> Lease | None:
    """The last lease of a request, ended or not; None where nobody ever claimed it."""
    lease: Lease | None = None
    for each in results:
        if each.request_id != request_id or each.status not in HELD:
            continue
        if lease is None or each.by == lease.by or each.time_ms > lease.until_ms:
            lease = Lease(each.by, each.lease_until_ms)
    return lease


def owner(results: Iterable[RetrainReported], request_id: str, now_ms: int) -> str | None:
    """Who holds the request now."""
    lease = holder(results, request_id)
    return lease.by if lease is not None and lease.until_ms >= now_ms else None


def pending(
    requests: Sequence[RetrainRequested], results: Sequence[RetrainReported], me: str, now_ms: int
) -> list[RetrainRequested]:
    """Requests that have no result and that nobody else holds, each once, in the order of the log."""
    ended = {each.request_id for each in results if each.status in ENDED}
    found: dict[str, RetrainRequested] = {}
    for request in requests:
        if request.id not in ended and owner(results, request.id, now_ms) in (None, me):
            found.setdefault(request.id, request)
    return list(found.values())


def attempt(request: RetrainRequested, requests: Iterable[RetrainRequested], results: Iterable[RetrainReported]) -> int:
    """Which verdict about the same alarm this one is, from 1: each that was sought before had its chance to err."""
    same = {each.id for each in requests if each.alarm_id == request.alarm_id and each.id != request.id}
    return 1 + len({each.request_id for each in results if each.request_id in same and each.status in JUDGED})
