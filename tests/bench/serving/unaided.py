"""What a load, the probe and a reply take of the engines alone, past everything of ours."""

from __future__ import annotations

import asyncio
import statistics
import time

import numpy as np

from serving.replica import probe
from streams.identity import version_name
from tests.bench.serving.answers import QUESTIONS, asked
from tests.bench.serving.pair import ENGINES, Pair
from tests.bench.tools.figures import Figure
from tests.serving.support.load import connect, request
from tests.serving.support.traffic import ask

APART_S = 0.05
WHAT = "a load, the probe and a reply, of an engine alone"


def measured(two: Pair, count: int) -> list[Figure]:
    """Under whatever load there is."""
    took = asyncio.run(asked_alone(two, count))
    return [
        Figure(f"{WHAT}: median", statistics.median(took), "ms", note=f"{count} times, each engine in turn"),
        Figure(f"{WHAT}: p99", float(np.quantile(took, 0.99)), "ms"),
    ]


async def asked_alone(two: Pair, count: int) -> list[float]:
    """Milliseconds of the three, one after the other."""
    adapter, took = two.adapters[0], []
    name = version_name("nobody", adapter.digest)  # of no alias that the reconcilers know: they leave it alone
    load = request("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(adapter.path.resolve())})
    unload = request("/v1/unload_lora_adapter", {"lora_name": name})
    steps = [load, request("/v1/completions", probe.request(name)), asked(QUESTIONS[0], name)]
    for i in range(count):
        client = await connect(two.place.config.stack.engine_ports[i % len(ENGINES)])
        began_s = time.monotonic()
        attempts = [await ask(client, steps, step) for step in range(len(steps))]
        took.append((time.monotonic() - began_s) * 1_000)
        attempts.append(await ask(client, [unload], 0))
        client.transport.close()
        if any(each.failed for each in attempts):
            raise RuntimeError(f"an engine refused: {', '.join(each.told() for each in attempts if each.failed)}")
        await asyncio.sleep(APART_S)
    return took
