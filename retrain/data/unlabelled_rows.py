"""Rows from the lake for a judge model: replies that no person labelled, and how it agrees with people on others."""

from __future__ import annotations

from monitor.losses import WRONG
from monitor.selection.audit import chosen
from monitor.selection.sources import JUDGE
from retrain.data.example import FRESH, Example
from retrain.data.labelled_rows import PLACE_COLUMNS, Truth, example, labelled_ids, place, whole
from streams.lake.lake import Lake
from streams.topics import FEEDBACK, INFERENCE

COMPARED = 100  # audited replies that tell how far a judge is believed; the newest
SCORE_COLUMNS = ("event_id", "origin", "loss", "time_ms")


def unlabelled(lake: Lake, alias: str, since_ms: int, share: float, most: int) -> list[Example]:
    """Return the newest of the replies since then that no person labelled, of the hashed share that a judge scores;
    `most` of them at most, in the order of their time."""
    labelled = labelled_ids(lake, alias, since_ms)
    parts = lake.rows(INFERENCE, alias=alias, since_ms=since_ms, columns=PLACE_COLUMNS)
    replies = [each for part in parts for each in part.to_pylist() if whole(each) and chosen(each["id"], share)]
    places = {each["id"]: place(each) for each in replies if each["id"] not in labelled}
    newest = sorted(places, key=places.__getitem__)[-most:]
    no_truth = Truth("", JUDGE, 0)
    rows = lake.by_ids(INFERENCE, newest, alias=alias)
    found = [(place(each), example(each, no_truth, FRESH)) for part in rows for each in part.to_pylist()]
    return [row for _, row in sorted(found, key=lambda each: each[0])]


def agrees(lake: Lake, alias: str, judge: str) -> tuple[int, int]:
    """Return on how many of the newest audited replies with both judgements the judge and people both called the answer
    good, or both bad; and of how many."""
    scores: dict[str, float] = {}
    people: dict[str, tuple[int, float]] = {}
    for part in lake.rows(FEEDBACK, alias=alias, columns=SCORE_COLUMNS):
        for row in part.to_pylist():
            if row["loss"] is not None and row["origin"] == judge:
                scores[row["event_id"]] = row["loss"]
            elif row["loss"] is not None and row["origin"] == "audit":
                people[row["event_id"]] = row["time_ms"], row["loss"]
    both = sorted((at, id) for id, (at, _) in people.items() if id in scores)[-COMPARED:]
    agreed = sum((scores[id] < WRONG) == (people[id][1] < WRONG) for _, id in both)
    return agreed, len(both)
