"""What logs and traces of requests cost: `python -m tests.bench.serving.observed [--share S] [--rounds N]`.

Two gateways of this checkout by turns before one engine: one notes nothing, which is the default; the other writes the
access log as JSON and sends a share of its traces to a collector that takes all. Prints a table and writes
`var/bench/observed.json`.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from deploy.stack import ports, processes
from deploy.stack.launch import Member
from tests.bench.serving.beside import added, costs, other
from tests.bench.serving.latency import Size, rounds
from tests.bench.serving.ways import Ways, passing
from tests.bench.tools.figures import tell
from tests.bench.tools.scratch import scratch
from tests.serving.support.stack import Place, instant

OUT = Path("var/bench/observed.json")
COLLECTOR = "collector"


@click.command()
@click.option("--share", default=0.05, show_default=True, help="Of the requests that are traced.")
@click.option("--rounds", "count", default=20, show_default=True, help="Alternations.")
@click.option("--requests", default=1_000, show_default=True, help="A round, of one client.")
def main(share: float, count: int, requests: int) -> None:
    """Measure the gateway that notes nothing by turns with one that notes each request."""
    with scratch("observed") as folder, instant(folder) as place:
        ways, url = Ways(place), collector(place)
        noted: dict[str, dict[str, object]] = {
            "logs": {"format": "json", "access_log": True},
            "traces": {"endpoint": url, "share": share},
        }
        try:
            with other(place, ways, Path.cwd(), **noted), passing(place, ways):
                found = rounds(ways, Size(count, requests, requests // 10))
                tell([*added(found), *costs(place, ways, 10 * requests)], OUT)
        finally:
            place.stop(COLLECTOR)


def collector(place: Place) -> str:
    """Start a collector as a process of its own; return its address."""
    port = ports.free(1)[0]
    spec = processes.Spec(
        COLLECTOR, (sys.executable, "-m", "tests.support.collector", str(port)), partial(ports.answers, port)
    )
    place.members[COLLECTOR] = Member(COLLECTOR, lambda: spec, spec.ready)
    place.start(COLLECTOR)
    return f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    main()
