"""Ten thousand requests that no client should send, and clients that never get to the end of theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice

from tests.bench.figures import Figure
from tests.bench.malformed.judge import Judge, Verdict
from tests.bench.malformed.mix import cases, drips
from tests.bench.place import Place, instant
from tests.bench.progress import note
from tests.bench.scratch import scratch
from tests.bench.serving.streaming import more_files
from tests.bench.serving.ways import ENGINE, GATEWAY, Ways

CASES, SLICE, DRIPS = 10_000, 1_000, 300
SEED = 7
TIMEOUT_S, MARGIN_S = 2.0, 3.0  # of a head and a body each; what a loaded machine may take beyond them
SETTINGS = {"gateway": {"head_timeout_s": TIMEOUT_S, "body_timeout_s": TIMEOUT_S, "timeout_s": TIMEOUT_S}}


def measured(quick: bool) -> list[Figure]:
    """What was taken wrongly, and whether good requests were answered meanwhile."""
    more_files()
    count = CASES // 10 if quick else CASES
    with scratch("malformed") as folder, instant(folder, SETTINGS) as place:
        ways = Ways(place)
        judge = Judge(place.port, 2 * TIMEOUT_S + MARGIN_S, secrets(place, ways))
        faults, good = asyncio.run(sent(judge, ways, place.key, count))
        slow = asyncio.run(judge.all(drips(SEED, DRIPS, place.key), at_once=DRIPS))
    told = ", ".join(f"{status or 'closed'}: {n}" for status, n in sorted(judge.statuses.items()))
    return [
        Figure(f"{count:,} malformed requests: status 500", _of(faults, "status 500"), "replies", 0, note=told),
        Figure("malformed requests that hung", _of(faults, "neither answer"), "requests", 0, note=_first(faults)),
        Figure("malformed requests that were told upstream detail", _of(faults, "tells"), "replies", 0),
        Figure("malformed requests without a connection", _of(faults, "no connection"), "requests", 0),
        Figure(f"{DRIPS} clients that drip a byte a second: taken wrongly", len(slow), "clients", 0, note=_first(slow)),
        Figure("good requests among them that failed", good, "requests", 0),
    ]


async def sent(judge: Judge, ways: Ways, key: str, count: int) -> tuple[list[Verdict], int]:
    """A good request after each slice must be answered."""
    every, faults, failed = cases(SEED, count, key), list[Verdict](), 0
    while chunk := list(islice(every, SLICE)):
        faults += await judge.all(chunk)
        sample = await asyncio.to_thread(ways.tried, GATEWAY, 20, 2)
        failed += sample.failed
        note(f"{sum(judge.statuses.values()):,} answers, {len(faults)} faults")
    return faults, failed


def secrets(place: Place, ways: Ways) -> list[bytes]:
    """Where the engine is, where files lie, and the key."""
    return [f":{ways.ports[ENGINE]}".encode(), str(place.folder).encode(), place.key.encode()]


def _of(faults: Sequence[Verdict], kind: str) -> int:
    return sum(verdict.fault.startswith(kind) for verdict in faults)


def _first(faults: Sequence[Verdict]) -> str:
    return f"{faults[0].case.name}: {faults[0].fault[:200]}" if faults else ""
