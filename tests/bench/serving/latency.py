"""What the gateway adds to a reply's time, and what a request costs it, with full capture to a real Kafka."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy.roles.shipper import journal_folder
from streams.journal.reader import waiting_bytes
from streams.log.read import ends
from streams.topics import INFERENCE
from tests.bench.serving import litellm
from tests.bench.serving.ways import ENGINE, GATEWAY, PASSING, WITH_TOOLS, Ways, passing
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.bench.tools.usage import usage
from tests.serving.support.stack import Place, instant

PACE_MS = 1  # between a stream's chunks, so that the first one is not the last one too
TOLD = (
    ("added latency, p50, one client", "p50", 0.3),
    ("added latency, p99, one client", "p99", 0.9),
    ("added latency, p50, one client, 1 KB chats with tools", "tools", 0.4),
    ("added time to a stream's first chunk, p50", "first", 0.5),
)
Found = Mapping[str, Mapping[str, Sequence[float]]]  # way -> statistic -> one value a round, ms


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked."""

    rounds: int = 7
    requests: int = 2_000  # a round, one client
    streams: int = 300
    many: int = 20_000  # at eight clients


QUICK = Size(rounds=3, requests=400, streams=60, many=4_000)


def measured(quick: bool) -> list[Figure]:
    """Latency, cost of a request, and LiteLLM's proxy in the same run."""
    size = QUICK if quick else Size()
    with scratch("latency") as folder, instant(folder) as place:
        ways = Ways(place)
        with passing(place, ways):
            figures = [*added(rounds(ways, size)), *cost(place, ways, size)]
        return [*figures, *litellm.compared(place, ways, quick), *alone(place, ways, size)]


def rounds(ways: Ways, size: Size) -> Found:
    """By turns, so that the machine's moods meet all of them."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for where in ways.ports:
        ways.ask(where, 300)
        ways.ask(where, 20, stream=True)
    for i in range(size.rounds):
        note(f"latency, round {i + 1} of {size.rounds}")
        for where in ways.ports:
            whole = ways.ask(where, size.requests)
            found[where]["p50"].append(whole.quantile(0.5))
            found[where]["p99"].append(whole.quantile(0.99))
            called = ways.ask(where, size.requests // 2, **WITH_TOOLS)
            found[where]["tools"].append(called.quantile(0.5))
            chunks = ways.ask(where, size.streams, stream=True, pace_ms=PACE_MS, max_tokens=3)
            found[where]["first"].append(chunks.first(0.5))
    return found


def added(found: Found) -> list[Figure]:
    """The median over the rounds of what each added in its round."""

    def over(where: str, name: str) -> float:
        pairs = zip(found[where][name], found[ENGINE][name], strict=True)
        return statistics.median(mine - bare for mine, bare in pairs)

    return [
        Figure(name, over(GATEWAY, what), "ms", goal, "lower", PASSING, round(over(PASSING, what), 3))
        for name, what, goal in TOLD
    ]


def alone(place: Place, ways: Ways, size: Size) -> list[Figure]:
    """The same without a broker, and so with a shipper that rests: what these two take of the processors that all share
    is none of the gateway's; its journal is written all the same."""
    note("latency, Kafka away")
    place.stop("kafka")
    quantiles: dict[float, list[float]] = {0.5: [], 0.99: []}
    for _ in range(size.rounds):
        bare, ours = ways.ask(ENGINE, size.requests), ways.ask(GATEWAY, size.requests)
        for q, found in quantiles.items():
            found.append(ours.quantile(q) - bare.quantile(q))
    return [
        Figure(f"added latency, {name}, one client, Kafka away", statistics.median(quantiles[q]), "ms")
        for q, name in ((0.5, "p50"), (0.99, "p99"))
    ]


def cost(place: Place, ways: Ways, size: Size) -> list[Figure]:
    """Processor time of the gateway and all that it started, until every event is in Kafka."""
    note("requests for a CPU second")
    ways.ask(GATEWAY, 1_000, 8)
    drained(place)
    process, before = place.process("gateway"), ends(place.config.kafka, INFERENCE)
    used = usage(process).cpu_s
    sample = ways.ask(GATEWAY, size.many, 8)
    drained(place)
    used = usage(process).cpu_s - used
    peer = ways.ask(PASSING, size.many, 8)
    lost = before + size.many - ends(place.config.kafka, INFERENCE)
    rate, passed = size.many / sample.seconds, round(size.many / peer.seconds)
    return [
        Figure("requests for a CPU second of the gateway and its shipper", size.many / used, "1/s", 4_000, "higher"),
        Figure("requests a second, eight clients", rate, "1/s", None, "higher", PASSING, passed),
        Figure("latency, p99, eight clients", sample.quantile(0.99), "ms", None, "lower", PASSING, _p99(peer.ms)),
        Figure("replies without an event", lost, "events", 0),
    ]


def drained(place: Place, seconds: float = 60.0) -> None:
    """Waits until everything journaled is in Kafka, or the time is up; looks seldom, to take no processor time."""
    folder, deadline = journal_folder(place.config, "gateway"), time.monotonic() + seconds
    while waiting_bytes(folder) and time.monotonic() < deadline:
        time.sleep(0.5)


def _p99(ms: Sequence[float]) -> float:
    return round(statistics.quantiles(ms, n=100)[98], 3)
