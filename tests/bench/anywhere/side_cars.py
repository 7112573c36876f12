"""An adapter into two replicas behind side-cars: from the decision to the first reply, with its files there or fetched.

    python -m tests.bench.anywhere --only side-cars

The engines answer at once, so that what is measured is ours: route, bucket, check, load, probe, attestation, poll."""

from __future__ import annotations

import math
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving.routes.follower import Follower
from serving.routes.listed import ReplicaList
from streams.identity import adapter_digest, adapter_key, version_name
from streams.objects.opening import Storage
from tests.bench.anywhere.goals import figure
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.serving.support.adapter_files import BASE, write
from tests.serving.support.fleet import Fleet, fleet
from tests.serving.support.load import request
from tests.serving.support.log_records import ALIAS
from tests.serving.support.traffic import Traffic
from tests.support.s3 import KEYS, server
from tests.support.waiting import wait

ADAPTERS = 20
CLIENTS, PAUSE_S = 4, 0.01
UNLOADED_S = 1.5  # after which a version that was replaced has left the engines
BODY = {"model": ALIAS, "messages": [{"role": "user", "content": "Where is my card?"}], "signed": True}


def measured(quick: bool) -> list[Figure]:
    """Every adapter is promoted twice: it must be fetched, then it is there."""
    with scratch("side-cars") as folder, stored(folder, ADAPTERS // 4 if quick else ADAPTERS) as running:
        data = [request("/v1/chat/completions", BODY, running.place.key)]
        with Traffic(running.place.port, data, CLIENTS, PAUSE_S) as traffic:
            wait(lambda: len(traffic.attempts) > 50, "the load runs")
            first, *others = running.adapters
            fetched = list(promoted(running, traffic, others))
            at_hand = list(promoted(running, traffic, [first, *others]))
    failed = [each for each in traffic.attempts if each.failed]
    wrong = [each for each in traffic.attempts if not each.failed and not each.text.endswith(f" {each.version}")]
    of = f"of {len(traffic.attempts):,}"
    return [
        *speed("adapter there, decision to first reply", at_hand),
        *speed("adapter fetched, decision to first reply", fetched),
        figure("side-cars: requests that failed meanwhile", len(failed), "requests", of),
        figure("side-cars: connections refused", traffic.turned_away, ""),
        figure("side-cars: replies not by the version they name", len(wrong), "replies", of),
    ]


def speed(what: str, times: Sequence[tuple[float, float]]) -> list[Figure]:
    """Milliseconds until the first reply, and until both replicas attest."""
    first, both = zip(*times, strict=True)
    swaps = f"{len(times)} swaps"
    return [
        figure(f"{what}: median", statistics.median(first), "ms", swaps),
        figure(f"{what}: median, bad end of its 95 % interval", _bad_end(first), "ms"),
        Figure(f"{what}: longest", max(first), "ms", note=swaps),
        Figure(f"{what.partition(',')[0]}, decision until both attest: median", statistics.median(both), "ms"),
    ]


def _bad_end(values: Sequence[float]) -> float:
    """The upper end of the median's interval: the least order statistic that so many values put above it."""
    count = len(values)
    below = 0.0
    for rank in range(count):
        below += math.comb(count, rank) / 2**count
        if below >= 0.975:
            return sorted(values)[min(count - 1, rank)]
    return max(values)


@contextmanager
def stored(folder: Path, adapters: int) -> Iterator[Fleet]:
    """Two side-cars and so many adapters in a bucket, of which they have fetched the first."""
    with server() as s3, pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        settings, made = s3.storage("fleet"), dict[str, str]()
        trees = Storage(settings, folder / "trainer").trees()
        for i in range(adapters):
            source = write(folder / f"made-{i}", f"adapter {i}")
            digest = adapter_digest(source, BASE)
            with trees.scratch(f"adapters/{ALIAS}") as empty:
                shutil.copytree(source, empty, dirs_exist_ok=True)
                trees.put(adapter_key(ALIAS, digest), empty)
            made[version_name(ALIAS, digest)] = digest
        note("Kafka, two engines, two side-cars and a gateway start")
        with fleet(folder, adapters=made, storage=settings) as running:
            yield running


def promoted(running: Fleet, traffic: Traffic, versions: Sequence[str]) -> Iterator[tuple[float, float]]:
    """One after the other, unannounced; yield how long the first reply took, and both attestations."""
    config = running.place.config
    follower = Follower(config.kafka, running.place.folder / "bench.json", trust=ReplicaList(config.replicas).trusts)
    follower.start()
    follower.wait(30)
    records = running.place.records
    try:
        for version in versions:
            digest, before = running.adapters[version], len(traffic.attempts)
            decided_s = time.monotonic()
            records.route(version, records.champion)
            wait(lambda v=version, d=digest: len(follower.table().serving(v, d)) == 2, f"both attest {version}")  # type: ignore[misc]
            both_ms = (time.monotonic() - decided_s) * 1_000
            wait(lambda v=version, b=before: any(a.version == v for a in traffic.since(b)), f"a reply by {version}")  # type: ignore[misc]
            first_s = min(each.ended_s for each in traffic.since(before) if each.version == version)
            yield (first_s - decided_s) * 1_000, both_ms
            time.sleep(UNLOADED_S)
    finally:
        follower.close()
