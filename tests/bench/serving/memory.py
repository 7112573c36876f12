"""Memory stays where it is: what the gateway and its shipper hold after many requests, beside after some."""

from __future__ import annotations

from tests.bench.serving.latency import drained
from tests.bench.serving.ways import GATEWAY, TEXT, Ways
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.bench.tools.usage import Usage, usage
from tests.serving.support.stack import Place, instant

WARM_UP, REQUESTS, SLICE = 10_000, 200_000, 10_000
CLIENTS = 8
GROWTH_MIB = 20


def measured(quick: bool) -> list[Figure]:
    """Growth of both, once all that was asked is in Kafka."""
    requests = REQUESTS // 10 if quick else REQUESTS
    with scratch("memory") as folder, instant(folder) as place:
        ways = Ways(place)
        before = after_asking(place, ways, WARM_UP)
        after = after_asking(place, ways, requests)
    return [
        grown("the gateway", requests, before.own_mib, after.own_mib),
        grown("its shipper", requests, before.others_mib, after.others_mib),
    ]


def grown(what: str, requests: int, before_mib: float, after_mib: float) -> Figure:
    """How much more it holds."""
    name = f"more memory after {requests:,} requests, {what}"
    return Figure(name, after_mib - before_mib, "MiB", GROWTH_MIB, note=f"{before_mib:.1f}, then {after_mib:.1f}")


def after_asking(place: Place, ways: Ways, requests: int) -> Usage:
    """Each slice asks with other words and of another length; a tenth of it is streamed."""
    for first in range(0, requests, SLICE):
        messages = [{"role": "user", "content": f"{first}: {TEXT * (1 + first // SLICE % 7)}"}]
        ways.ask(GATEWAY, SLICE * 9 // 10, CLIENTS, messages=messages)
        ways.ask(GATEWAY, SLICE // 10, CLIENTS, stream=True, messages=messages)
        note(f"{first + SLICE:,} of {requests:,} requests")
    drained(place)
    return usage(place.process("gateway"))
