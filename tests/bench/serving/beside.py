"""The gateway beside another checkout's, in one run: `python -m tests.bench.serving.beside TREE [--rounds N]`.

Both ask one engine and one broker, by turns: what a change of the hot path costs, whatever the machine's moods. Prints
a table and writes `var/bench/beside.json`.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from deploy.config.toml import dump
from deploy.stack import ports, processes
from deploy.stack.engine import answers_ok
from deploy.stack.launch import Member
from tests.bench.serving.latency import Found, Size, rounds
from tests.bench.serving.ways import ENGINE, GATEWAY, OTHER, PASSING, Ways, passing
from tests.bench.tools.figures import Figure, tell
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.bench.tools.usage import usage
from tests.serving.support.stack import Place, instant

OUT = Path("var/bench/beside.json")
TOLD = (
    ("p50", "added latency, p50, one client"),
    ("p99", "added latency, p99, one client"),
    ("tools", "added latency, p50, chats with tools"),
    ("first", "first chunk"),
)
CLIENTS = 8


@click.command()
@click.argument("tree", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path))
@click.option("--rounds", "count", default=20, show_default=True, help="Alternations.")
@click.option("--requests", default=1_000, show_default=True, help="A round, of one client.")
def main(tree: Path, count: int, requests: int) -> None:
    """Measure the gateway of this checkout by turns with the one of TREE."""
    with scratch("beside") as folder, instant(folder) as place:
        ways = Ways(place)
        with other(place, ways, tree), passing(place, ways):
            found = rounds(ways, Size(count, requests, requests // 10))
            tell([*added(found), *costs(place, ways, 10 * requests)], OUT)


@contextmanager
def other(place: Place, ways: Ways, tree: Path, **more: dict[str, object]) -> Iterator[None]:
    """The other checkout's gateway, while entered, with a journal of its own and the same keys. `more`: sections of its
    configuration."""
    port, admin = ports.free(2)
    folder = place.folder / "beside"
    shutil.copytree(place.folder / "secrets", folder / "secrets")
    config, stack = folder / "homeostat.toml", place.config.stack
    own = {"var": str(folder), "kafka_port": stack.kafka_port, "engine_ports": stack.engine_ports}
    config.write_text(dump({"stack": {**own, "gateway_port": port, "gateway_admin_port": admin}, **more}))
    command = (sys.executable, "-m", "deploy.cli", "run", "gateway", "--config", str(config))
    ready = partial(answers_ok, f"http://127.0.0.1:{admin}/readyz")
    spec = processes.Spec(OTHER, command, ready, 120.0, folder=tree, grace_s=35.0)
    place.members[OTHER] = Member(OTHER, lambda: spec, ready, timeout_s=120.0)
    place.start(OTHER)
    ways.ports[OTHER], ways.keys[OTHER] = port, place.key
    yield
    del ways.ports[OTHER]
    place.stop(OTHER)


def added(found: Found) -> list[Figure]:
    """What each adds to the engine's own time, the median over the rounds; beside it the median of the rounds'
    differences, and in how many rounds ours was the slower one."""
    figures = []
    for what, name in TOLD:
        bare, ours, theirs = (found[where][what] for where in (ENGINE, GATEWAY, OTHER))
        extra = [mine - yours for mine, yours in zip(ours, theirs, strict=True)]
        slower = f"slower in {sum(each > 0 for each in extra)} of {len(extra)}"
        figures += [
            Figure(f"{name}, here", _over(ours, bare), "ms", None, "lower", OTHER, round(_over(theirs, bare), 3)),
            Figure(f"{name}, here and not there", statistics.median(extra), "ms", note=slower),
        ]
    passed = _over(found[PASSING]["p50"], found[ENGINE]["p50"])
    return [*figures, Figure(f"{TOLD[0][1]}, {PASSING}", passed, "ms")]


def costs(place: Place, ways: Ways, count: int, turns: int = 5) -> list[Figure]:
    """Processor time and speed at eight clients; the shippers' time is in it."""
    taken: dict[str, list[float]] = {GATEWAY: [], OTHER: []}
    speed: dict[str, list[float]] = {GATEWAY: [], OTHER: []}
    for turn in range(turns):
        note(f"eight clients, turn {turn + 1} of {turns}")
        for where in taken:
            process = place.process(where)
            before = usage(process).cpu_s
            speed[where].append(count / ways.ask(where, count, CLIENTS).seconds)
            taken[where].append((usage(process).cpu_s - before) / count * 1e3)
    ours, theirs = (statistics.median(taken[where]) for where in taken)
    here, there = (statistics.median(speed[where]) for where in speed)
    return [
        Figure("processor time of a request, eight clients", ours, "ms", None, "lower", OTHER, round(theirs, 4)),
        Figure("requests a second, eight clients", here, "1/s", None, "higher", OTHER, round(there)),
    ]


def _over(ours: Sequence[float], bare: Sequence[float]) -> float:
    return statistics.median(mine - engine for mine, engine in zip(ours, bare, strict=True))


if __name__ == "__main__":
    main()
