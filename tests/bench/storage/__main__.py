"""What storage promises: `python -m tests.bench.storage [--only NAME[,NAME]] [--quick]`.

Prints a table and writes `var/bench/storage.json`; the figures of parts that were not asked for stay in it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bench.storage import commits, doors, forgetting, kills, objects, written
from tests.bench.tools.figures import Figure
from tests.bench.tools.parts import command

OUT = Path("var/bench/storage.json")
PARTS: dict[str, Callable[[bool], list[Figure]]] = {
    "objects": objects.measured,
    "written": written.measured,
    "doors": doors.measured,
    "commits": commits.measured,
    "kills": kills.measured,
    "forgetting": forgetting.measured,
}

if __name__ == "__main__":
    command(OUT, PARTS, "Measure storage against its goals.")()
