"""A thousand streams at once on one gateway process: none breaks."""

from __future__ import annotations

import resource

from tests.bench.serving.ways import ENGINE, GATEWAY, Ways
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.bench.tools.usage import usage
from tests.serving.support.load import Sample
from tests.serving.support.stack import instant

CLIENTS = 1_000
CHUNKS, PACE_MS = 20, 250  # five seconds each: long enough for all of them to be open at once
FILES = 8_192  # two sockets a stream in the gateway, one in the engine and one here


def measured(quick: bool) -> list[Figure]:
    """Streams that broke or lacked their end, how many were open at once, and what they waited for."""
    more_files()
    with scratch("streams") as folder, instant(folder) as place:
        ways, rounds = Ways(place), 1 if quick else 3
        bare = opened(ways, ENGINE, 1)
        sample = opened(ways, GATEWAY, rounds)
        memory = usage(place.process("gateway"))
    at_once = Figure("streams open at once", peak(sample), "streams", CLIENTS, "higher")
    first = round(bare.first(0.99), 1)
    return [
        Figure("streams that failed, of as many as were opened", sample.failed, "streams", 0, note=f"{len(sample.ms)}"),
        at_once,
        Figure("first chunk among them, p99", sample.first(0.99), "ms", None, "lower", "engine itself", first),
        Figure("gateway with a thousand streams behind it, resident", memory.own_mib, "MiB"),
    ]


def opened(ways: Ways, where: str, rounds: int) -> Sample:
    """All at once, each round."""
    note(f"{rounds * CLIENTS} streams, {CLIENTS} at once: {where}")
    return ways.tried(where, rounds * CLIENTS, CLIENTS, stream=True, pace_ms=PACE_MS, max_tokens=CHUNKS)


def peak(sample: Sample) -> int:
    """The most streams that had begun and not ended, from their first chunk to their last."""
    moments = [(at, 1) for at in sample.first_at_s] + [(at, -1) for at in sample.ended_at_s]
    now = most = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


def more_files() -> None:
    """Raises this process's limit on open files, which its children inherit, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (FILES if hard == resource.RLIM_INFINITY else min(FILES, hard), hard)
        )
