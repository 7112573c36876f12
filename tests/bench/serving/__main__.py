"""What serving promises, all measured in one run: `python -m tests.bench.serving [--only NAME[,NAME]] [--quick]`.

Prints a table and writes `var/bench/serving.json`; the figures of parts that were not asked for stay in it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bench.serving import engine_kills, kills, latency, memory, streaming, swaps
from tests.bench.serving import ten_thousand as malformed
from tests.bench.tools.figures import Figure
from tests.bench.tools.parts import command

OUT = Path("var/bench/serving.json")
PARTS: dict[str, Callable[[bool], list[Figure]]] = {
    "latency": latency.measured,
    "streams": streaming.measured,
    "memory": memory.measured,
    "swaps": swaps.measured,
    "kills": kills.measured,
    "engine-kills": engine_kills.measured,
    "malformed": malformed.measured,
}

if __name__ == "__main__":
    command(OUT, PARTS, "Measure serving against its goals.")()
