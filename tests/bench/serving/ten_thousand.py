"""Ten thousand requests that no client should send, and clients that never get to the end of theirs."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Mapping, Sequence
from itertools import islice

from tests.bench.serving.streaming import more_files
from tests.bench.serving.ways import ENGINE, GATEWAY, Ways
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.serving.support.malformed.judge import Judge, Verdict
from tests.serving.support.malformed.mix import cases, drips
from tests.serving.support.stack import Place, instant

CASES, SLICE, DRIPS = 10_000, 1_000, 300
SEED = 7
TIMEOUT_S, MARGIN_S = 2.0, 3.0  # of a head and a body each; what a loaded machine may take beyond them
ASKED = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/asked")
SETTINGS = {"gateway": {"head_timeout_s": TIMEOUT_S, "body_timeout_s": TIMEOUT_S, "timeout_s": TIMEOUT_S}}


def measured(quick: bool) -> list[Figure]:
    """What was taken wrongly, and whether good requests were answered meanwhile."""
    more_files()
    count = CASES // 10 if quick else CASES
    with scratch("malformed") as folder, instant(folder, SETTINGS) as place:
        ways = Ways(place)
        judge = Judge(place.port, 2 * TIMEOUT_S + MARGIN_S, secrets(place, ways), (500, 502))
        faults, good = asyncio.run(sent(judge, ways, place.key, count))
        slow = asyncio.run(judge.all(drips(SEED, DRIPS, place.key), at_once=DRIPS))
        stray = strays(ways.ports[ENGINE])
    told = ", ".join(f"{status or 'closed'}: {n}" for status, n in sorted(judge.statuses.items()))
    return [
        Figure(f"{count:,} malformed requests: status 500 or 502", _of(faults, "status"), "replies", 0, note=told),
        Figure("malformed requests that hung", _of(faults, "neither answer"), "requests", 0, note=_first(faults)),
        Figure("malformed requests that were told upstream detail", _of(faults, "tells"), "replies", 0),
        Figure(
            "requests that reached the engine where no client may go",
            sum(stray.values()),
            "requests",
            0,
            note=_paths(stray),
        ),
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


def strays(engine: int) -> dict[str, int]:
    """What the engine was asked for beyond the four things that the gateway asks: path -> how often."""
    with urllib.request.urlopen(f"http://127.0.0.1:{engine}/asked", timeout=10) as reply:
        asked: dict[str, int] = json.load(reply)
    return {path: count for path, count in asked.items() if path not in ASKED}


def _paths(stray: Mapping[str, int]) -> str:
    return ", ".join(sorted(stray))[:200]


def _of(faults: Sequence[Verdict], kind: str) -> int:
    return sum(verdict.fault.startswith(kind) for verdict in faults)


def _first(faults: Sequence[Verdict]) -> str:
    return f"{faults[0].case.name}: {faults[0].fault[:200]}" if faults else ""
