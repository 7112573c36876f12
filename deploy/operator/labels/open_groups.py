"""Groups that the newest verdict does not tell about: labels of their replies settle it, so these come first."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import msgspec

from monitor.describe.fingerprint import event_print
from retrain.evaluation.groups import members
from streams.events import RetrainReported
from streams.kinds import Arm, RetrainStatus
from streams.lake.lake import Lake
from streams.topics import INFERENCE

UNDER_WAY = (RetrainStatus.CLAIMED, RetrainStatus.TRAINING)
MOST = 50  # replies of a group
REACH_MS = 7 * 86_400_000  # back from the verdict


def of_verdict(reports: Iterable[RetrainReported], alias: str) -> tuple[list[tuple[str, str]], int]:
    """Return tag and value of the groups that hold the alias's newest candidate back, and when that was, in
    milliseconds. None where the newest verdict is another than inconclusive."""
    ended = [each for each in reports if each.alias == alias and each.status not in UNDER_WAY]
    newest = max(ended, key=lambda each: each.time_ms, default=None)
    if newest is None or newest.status != RetrainStatus.INCONCLUSIVE:
        return [], 0
    waiting = [each for each in newest.checks if each.get("passed") is None and each.get("holds_back", True)]
    return members([str(each["name"]) for each in waiting]), newest.time_ms


def replies(lake: Lake, alias: str, groups: list[tuple[str, str]], time_ms: int) -> dict[str, str]:
    """Return replies of these groups, by id, with why: of each group the same number at most, drawn by a hash of their
    id, whatever the answer was."""
    if not groups:
        return {}
    found: dict[tuple[str, str], list[str]] = {each: [] for each in groups}
    columns = ("id", "arm", "tags")
    for part in lake.rows(INFERENCE, alias=alias, since_ms=time_ms - REACH_MS, columns=columns):
        for row in part.to_pylist():
            tags = msgspec.json.decode(row["tags"]) if row["tags"] and row["arm"] != Arm.SHADOW else {}
            for group in found.keys() & set(tags.items()):
                found[group] = heapq.nsmallest(MOST, {*found[group], row["id"]}, key=event_print)
    return {id: f"the gate does not tell about {tag}={value}" for (tag, value), ids in found.items() for id in ids}
