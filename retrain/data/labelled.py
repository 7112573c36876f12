"""Labelled rows from the lake: what was asked, what was answered, and what should have been."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from retrain.data.example import FRESH, REHEARSAL, Example
from streams.events import Message, comparable
from streams.kinds import Arm
from streams.lake import table as lake
from streams.topics import FEEDBACK, INFERENCE

RANKS = {"reviewer": 2, "downstream": 1}  # whose word counts more; a client's: 0
LABEL_WAIT_MS = 86_400_000  # labels that come later than this after their reply are not looked for

SAID = ("event_id", "label", "correction", "source", "time_ms", "partition", "offset")
PLACED = ("id", "time_ms", "partition", "offset", "status", "arm", "comparable", "output")
Weight = tuple[int, int, int, int]  # rank, then place in time

_messages = msgspec.json.Decoder(list[Message])
_tags = msgspec.json.Decoder(dict[str, str])


def labelled(
    root: Path, alias: str, since_ms: int | None, until_ms: int | None, source: str, most: int | None = None
) -> list[Example]:
    """Replies of that time that somebody labelled or corrected, in the order of their time; of more than `most` the
    newest. Where several did, a reviewer's word goes before a client's, and the last before the first."""
    truths = _truths(root, alias, since_ms, until_ms)
    ids = truths if most is None or len(truths) <= most else _newest(root, alias, until_ms, truths, most)
    replies = lake.chosen(root, INFERENCE, ids, alias=alias, since_ms=since_ms, until_ms=until_ms)
    return [_example(reply, truths[reply["id"]], source) for reply in replies.to_pylist() if _whole(reply)]


def fresh(root: Path, alias: str, since_ms: int) -> list[Example]:
    """Since the harm began."""
    return labelled(root, alias, since_ms, None, FRESH)


def healthy(root: Path, alias: str, until_ms: int, most: int | None = None) -> list[Example]:
    """Before the harm began: of more than `most` the newest."""
    return labelled(root, alias, None, until_ms, REHEARSAL, most)


def _newest(root: Path, alias: str, until_ms: int | None, ids: Collection[str], most: int) -> list[str]:
    """The last of those replies, told by their places: where everything is labelled, the rows of months are too many
    to be held."""
    places: dict[str, tuple[int, int, int]] = {}
    among = lake.Among("id", pa.array(list(ids), pa.string()))
    for table in lake.scan(root, INFERENCE, alias=alias, until_ms=until_ms, columns=PLACED, among=among):
        for reply in table.to_pylist():
            if _whole(reply):
                place = reply["time_ms"], reply["partition"], reply["offset"]
                places[reply["id"]] = min(place, places.get(reply["id"], place))
    return sorted(places, key=places.__getitem__)[-most:]


def _truths(root: Path, alias: str, since_ms: int | None, until_ms: int | None) -> dict[str, str]:
    """Event id -> what the answer should have been."""
    latest = None if until_ms is None else until_ms + LABEL_WAIT_MS
    found: dict[str, tuple[Weight, str]] = {}
    for table in lake.scan(root, FEEDBACK, alias=alias, since_ms=since_ms, until_ms=latest, columns=SAID):
        for said in table.to_pylist():
            truth, weight = said["label"] or said["correction"], _weight(said)
            if truth and weight >= found.get(said["event_id"], (weight, ""))[0]:
                found[said["event_id"]] = (weight, truth)
    return {event_id: truth for event_id, (_, truth) in found.items()}


def _weight(said: dict[str, Any]) -> Weight:
    """Of several words on one reply the heaviest counts."""
    return RANKS.get(said["source"], 0), said["time_ms"], said["partition"], said["offset"]


def _whole(reply: dict[str, Any]) -> bool:
    """Whether a client got it, and a label is about all that was asked and answered: where tools were called or several
    answers given, neither a lesson nor a proof can be made of it."""
    given = reply["status"] == 200 and reply["arm"] != Arm.SHADOW
    return given and comparable(reply["comparable"], reply["output"])


def _example(reply: dict[str, Any], truth: str, source: str) -> Example:
    return Example(
        id=reply["id"],
        messages=_messages.decode(reply["input_messages"]),
        completion=truth,
        source=source,
        client=reply["client"],
        time_ms=reply["time_ms"],
        predicted=reply["output"],
        tags=_tags.decode(reply["tags"]),
    )
