"""What twenty `kill -9` of workers change in what is kept, on a folder and on S3: nothing. The whole comparison is
`tests.bench.streams.kills`."""

from __future__ import annotations

from tests.bench.streams import kills
from tests.bench.tools.figures import Figure

EVENTS, KILLS = 40_000, 20
KEPT = (
    "replies lost or doubled in the lake",
    "labels lost or doubled in the lake",
    "rows of the lake that differ from a calm worker's",
    "profiles that have not the lake's events",
    "alarms without their page",
)


def measured(quick: bool) -> list[Figure]:
    """Sums over rows, profiles and pages; takes a quarter of an hour, quick a few minutes."""
    events, times = (EVENTS // 8, KILLS // 5) if quick else (EVENTS, KILLS)
    on_folder = _differences(kills.measured(events, times))
    with kills.bucket() as where:
        on_s3 = _differences(kills.measured(events, times, where=where))
    return [
        Figure(f"what {times} kills changed in lake, profiles and pages, {name}", found, "", 0)
        for name, found in (("on a folder", on_folder), ("on S3", on_s3))
    ]


def _differences(found: list[Figure]) -> float:
    values = {each.name: each.value for each in found}
    return sum(values[name] for name in KEPT)
