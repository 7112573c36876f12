"""The check that no two processes have one name: of replicas by their attestations, of trainers by their claims."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from deploy.doctor.findings import Finding
from retrain.claims import namesakes
from streams.clock import now_ms
from streams.events import ReplicaAttested, RetrainReported
from streams.log.read import Record, read
from streams.log.settings import KafkaSettings
from streams.topics import ATTESTATIONS, RESULTS, Topic

RECENT_MS = 60_000  # before the log's last attestation
OTHER = "give each replica a name of its own: engines.NAME, or POD_NAME of its pod"
POD = "give each a host name or POD_NAME of its own"


def names(kafka: KafkaSettings, topics: Collection[Topic]) -> Iterator[Finding]:
    """Check the log's attestations and claims, as far as they are among the topics that may be read. Raise KafkaError,
    and as `read`."""
    if ATTESTATIONS in topics:
        yield from replicas(read(kafka, ATTESTATIONS, ReplicaAttested))
    if RESULTS in topics:
        results = [record.event for record in read(kafka, RESULTS, RetrainReported)]
        for name in trainers(results, now_ms()):
            yield Finding("names", False, f"two trainers are called {name}", POD)


def replicas(attested: Iterable[Record[ReplicaAttested]]) -> Iterator[Finding]:
    """Return which replicas attested from several addresses of late, and that there are none."""
    known = list(attested)
    since = max((record.timestamp_ms for record in known), default=0) - RECENT_MS
    urls: dict[str, set[str]] = defaultdict(set)
    for record in known:
        if record.timestamp_ms >= since:
            urls[record.event.replica].add(record.event.url)
    twice = {replica: sorted(each) for replica, each in urls.items() if len(each) > 1}
    for replica, each in twice.items():
        yield Finding("names", False, f"two replicas are called {replica}: at {', '.join(each)}", OTHER)
    if not twice:
        yield Finding("names", True, f"replicas that attest, each by a name of its own: {', '.join(urls) or 'none'}")


def trainers(results: list[RetrainReported], at_ms: int) -> set[str]:
    """Return the names by which several trainers hold requests now."""
    return {name.partition("@")[0] for name in {each.by for each in results} if namesakes(results, name, at_ms)}
