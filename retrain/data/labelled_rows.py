"""Labelled rows from the lake: a reply's question, its answer, and the answer that it should have had."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from retrain.data.example import FRESH, REHEARSAL, Example
from streams.kinds import Arm
from streams.lake.lake import Lake
from streams.messages import Message, comparable
from streams.topics import FEEDBACK, INFERENCE

SOURCE_RANKS = {"reviewer": 2, "downstream": 1}  # whose label counts more; a client's: 0
LABEL_WAIT_MS = 86_400_000  # labels that arrive later than this after their reply are not read

LABEL_COLUMNS = ("event_id", "label", "correction", "source", "time_ms", "partition", "offset")
PLACE_COLUMNS = ("id", "time_ms", "partition", "offset", "status", "arm", "comparable", "output")
Weight = tuple[int, int, int, int]  # of a label: its source's rank, then its place in time

_messages = msgspec.json.Decoder(list[Message])
_tags = msgspec.json.Decoder(dict[str, str])


def labelled(
    lake: Lake, alias: str, since_ms: int | None, until_ms: int | None, source: str, most: int | None = None
) -> list[Example]:
    """Return the replies of that time that have a label or a correction, in the order of their time; of more than
    `most` the newest. Of several labels of one reply a reviewer's goes before a client's, and a later one before an
    earlier."""
    truths = _truths(lake, alias, since_ms, until_ms)
    ids = truths if most is None or len(truths) <= most else _newest(lake, alias, until_ms, truths, most)
    parts = lake.by_ids(INFERENCE, ids, alias=alias, since_ms=since_ms, until_ms=until_ms)
    found = [
        (_place(reply), _example(reply, truths[reply["id"]], source))
        for part in parts
        for reply in part.to_pylist()
        if _whole(reply)
    ]
    return [example for _, example in sorted(found, key=lambda each: each[0])]


def fresh(lake: Lake, alias: str, since_ms: int) -> list[Example]:
    """Return the labelled rows since the harm began."""
    return labelled(lake, alias, since_ms, None, FRESH)


def healthy(lake: Lake, alias: str, until_ms: int, most: int | None = None) -> list[Example]:
    """Return the labelled rows before the harm began; of more than `most` the newest."""
    return labelled(lake, alias, None, until_ms, REHEARSAL, most)


def _newest(lake: Lake, alias: str, until_ms: int | None, ids: Collection[str], most: int) -> list[str]:
    """Return the ids of the newest of those replies, found by their places alone: where everything is labelled, the
    rows of months are too many to hold."""
    parts = lake.by_ids(INFERENCE, ids, alias=alias, until_ms=until_ms, columns=PLACE_COLUMNS)
    places = {reply["id"]: _place(reply) for part in parts for reply in part.to_pylist() if _whole(reply)}
    return sorted(places, key=places.__getitem__)[-most:]


def _truths(lake: Lake, alias: str, since_ms: int | None, until_ms: int | None) -> dict[str, str]:
    """Return the right answer of each labelled reply, by event id."""
    latest = None if until_ms is None else until_ms + LABEL_WAIT_MS
    found: dict[str, tuple[Weight, str]] = {}
    for table in lake.rows(FEEDBACK, alias=alias, since_ms=since_ms, until_ms=latest, columns=LABEL_COLUMNS):
        for label in table.to_pylist():
            truth, weight = label["label"] or label["correction"], _weight(label)
            if truth and weight >= found.get(label["event_id"], (weight, ""))[0]:
                found[label["event_id"]] = (weight, truth)
    return {event_id: truth for event_id, (_, truth) in found.items()}


def _place(reply: dict[str, Any]) -> tuple[int, int, int]:
    return reply["time_ms"], reply["partition"], reply["offset"]


def _weight(label: dict[str, Any]) -> Weight:
    """Return the label's weight: of several labels of one reply the heaviest counts."""
    return SOURCE_RANKS.get(label["source"], 0), label["time_ms"], label["partition"], label["offset"]


def _whole(reply: dict[str, Any]) -> bool:
    """Check that a client got the reply, and that a label is about all of it: a reply with tool calls or with several
    answers can be neither trained on nor judged on."""
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
        request=msgspec.json.decode(reply["request"] or "{}"),
    )
