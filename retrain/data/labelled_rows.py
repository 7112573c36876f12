"""Labelled rows from the lake: a reply's question, its answer, and the answer that it should have had.

A row says who chose it for its label: only where that did not depend on the answer may a verdict rest on it. Of audited
replies it is known which have no label; those are rows too, without the answer that they should have had."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec

from monitor.selection.delays import Delays, added, quantile
from monitor.selection.sources import DOUBTED, UNDECLARED, may_judge, read
from monitor.selection.weights import fairly
from retrain.data.example import FRESH, REHEARSAL, Example
from streams.kinds import Arm
from streams.lake.lake import Lake
from streams.messages import Message, comparable
from streams.topics import FEEDBACK, INFERENCE

SOURCE_RANKS = {"reviewer": 2, "downstream": 1}  # whose label counts more; a client's: 0
IN_TIME = 0.9  # of the labels of audited replies have come by the age from which on one is missing

LABEL_COLUMNS = (
    *("event_id", "label", "correction", "thumb", "by", "source", "origin", "share", "probability"),
    *("time_ms", "partition", "offset"),
)
REVIEWING = frozenset(SOURCE_RANKS)  # the gateway takes these from keys with that scope alone
CONFIRMED = UNDECLARED  # the selection of answers that a reviewer's thumb confirms: only right ones have a label then
PLACE_COLUMNS = ("id", "time_ms", "partition", "offset", "status", "arm", "comparable", "output")
AUDIT_COLUMNS = (*PLACE_COLUMNS, "cohorts")
AUDITED = '"audit"'  # among a reply's cohorts, which are JSON text
Weight = tuple[bool, int, int, int, int]  # of a label: whether it may judge, its source's rank, its place in time


class Truth(NamedTuple):
    """The answer that a reply should have had (None: the one it has), who chose it for a label, when that came, and the
    reviewer or downstream system that gave it."""

    answer: str | None
    selection: str
    time_ms: int
    by: str = ""


_messages = msgspec.json.Decoder(list[Message])
_tags = msgspec.json.Decoder(dict[str, str])


def labelled(
    lake: Lake, alias: str, since_ms: int | None, until_ms: int | None, source: str, most: int | None = None
) -> list[Example]:
    """Return the replies of that time that have a label or a correction, in the order of their time; of more than
    `most` the newest. Of several labels of one reply one that may judge goes before others, then a reviewer's before a
    client's, and a later one before an earlier."""
    truths = _truths(lake, alias, since_ms)
    ids = truths if most is None or len(truths) <= most else _newest(lake, alias, until_ms, truths, most)
    parts = lake.by_ids(INFERENCE, ids, alias=alias, since_ms=since_ms, until_ms=until_ms)
    found = [
        (place(reply), example(reply, truths[reply["id"]], source))
        for part in parts
        for reply in part.to_pylist()
        if whole(reply)
    ]
    return [example for _, example in sorted(found, key=lambda each: each[0])]


def fresh(lake: Lake, alias: str, since_ms: int) -> list[Example]:
    """Return the labelled rows since the harm began."""
    return labelled(lake, alias, since_ms, None, FRESH)


def healthy(lake: Lake, alias: str, until_ms: int, most: int | None = None) -> list[Example]:
    """Return the labelled rows before the harm began; of more than `most` the newest."""
    return labelled(lake, alias, None, until_ms, REHEARSAL, most)


def unlabelled(
    lake: Lake, alias: str, span: tuple[int | None, int | None], now_ms: int, source: str, wait_ms: int
) -> list[Example]:
    """Return the audited replies of that time that have no label of an auditor, though most such labels come sooner; in
    the order of their time. `wait_ms`: a label is waited for so long at most."""
    since_ms, until_ms = span
    audited: dict[str, int] = {}
    for part in lake.rows(INFERENCE, alias=alias, since_ms=since_ms, until_ms=until_ms, columns=AUDIT_COLUMNS):
        audited |= {each["id"]: each["time_ms"] for each in part.to_pylist() if _audited(each) and whole(each)}
    if not audited:
        return []
    truths = _truths(lake, alias, since_ms)
    late = Delays()
    for id, truth in truths.items():
        if truth.selection == "audit" and id in audited:
            late = added(late, truth.time_ms - audited[id])
    before_ms = now_ms - quantile(late, IN_TIME, wait_ms)
    gone = [id for id, at in audited.items() if at < before_ms and not _judges(truths.get(id))]
    parts = lake.by_ids(INFERENCE, gone, alias=alias, since_ms=since_ms, until_ms=until_ms)
    missing = Truth("", "audit", 0)
    found = [(place(reply), example(reply, missing, source)) for part in parts for reply in part.to_pylist()]
    return [example for _, example in sorted(found, key=lambda each: each[0])]


def _audited(reply: dict[str, Any]) -> bool:
    return AUDITED in (reply["cohorts"] or "")


def _judges(truth: Truth | None) -> bool:
    return truth is not None and may_judge(truth.selection)


def _newest(lake: Lake, alias: str, until_ms: int | None, ids: Collection[str], most: int) -> list[str]:
    """Return the ids of the newest of those replies, found by their places alone: where everything is labelled, the
    rows of months are too many to hold."""
    parts = lake.by_ids(INFERENCE, ids, alias=alias, until_ms=until_ms, columns=PLACE_COLUMNS)
    places = {reply["id"]: place(reply) for part in parts for reply in part.to_pylist() if whole(reply)}
    return sorted(places, key=places.__getitem__)[-most:]


def _truths(lake: Lake, alias: str, since_ms: int | None) -> dict[str, Truth]:
    """Return the right answer of each reply that was labelled since then, however late, by event id."""
    found: dict[str, tuple[Weight, Truth]] = {}
    for table in lake.rows(FEEDBACK, alias=alias, since_ms=since_ms, columns=LABEL_COLUMNS):
        for label in table.to_pylist():
            truth, weight = _truth(label), _weight(label)
            if truth and weight >= found.get(label["event_id"], (weight, None))[0]:
                found[label["event_id"]] = weight, truth
    return {event_id: truth for event_id, (_, truth) in found.items()}


def labelled_ids(lake: Lake, alias: str, since_ms: int) -> set[str]:
    """Return the ids of the replies since then that have a label or a correction, of whomever."""
    return set(_truths(lake, alias, since_ms))


def _truth(label: dict[str, Any]) -> Truth | None:
    """Return the answer that a label gives. A thumb up says that the model's own answer is right: it counts where one
    with the authority to review gave it, and judges nothing."""
    answer, reviews = label["label"] or label["correction"], label["source"] in REVIEWING
    by = f"{label['source']}/{label['by']}" if reviews else ""
    if answer:
        return Truth(answer, _selection(label), label["time_ms"], by)
    return Truth(None, CONFIRMED, label["time_ms"], by) if label["thumb"] and reviews else None


def place(reply: dict[str, Any]) -> tuple[int, int, int]:
    """Return where a reply stands in the order of time."""
    return reply["time_ms"], reply["partition"], reply["offset"]


def _weight(label: dict[str, Any]) -> Weight:
    """Return the label's weight: of several labels of one reply the heaviest counts."""
    judges = may_judge(_selection(label)) and bool(label["label"] or label["correction"])
    return judges, SOURCE_RANKS.get(label["source"], 0), label["time_ms"], label["partition"], label["offset"]


def _selection(label: dict[str, Any]) -> str:
    """Return who chose the reply. Of drawn ones a part judges, which is drawn evenly: the gate knows no weights."""
    found = read(label["origin"] or "").selection
    if found == "wanted" and not fairly(label["event_id"], label["share"] or 0.0, label["probability"] or 0.0):
        return DOUBTED
    return found


def whole(reply: dict[str, Any]) -> bool:
    """Check that a client got the reply, and that a label is about all of it: a reply with tool calls or with several
    answers can be neither trained on nor judged on."""
    given = reply["status"] == 200 and reply["arm"] != Arm.SHADOW
    return given and comparable(reply["comparable"], reply["output"])


def example(reply: dict[str, Any], truth: Truth, source: str) -> Example:
    """Return a row of the lake with the answer that it should have had."""
    return Example(
        id=reply["id"],
        messages=_messages.decode(reply["input_messages"]),
        completion=reply["output"] if truth.answer is None else truth.answer,
        source=source,
        client=reply["client"],
        time_ms=reply["time_ms"],
        predicted=reply["output"],
        tags=_tags.decode(reply["tags"]),
        request=msgspec.json.decode(reply["request"] or "{}"),
        user=reply["user"] or "",
        conversation=reply["conversation"] or "",
        selection=truth.selection,
        by=truth.by,
        tenant=reply["tenant"] or "",
    )
