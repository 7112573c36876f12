"""Two tasks for the whole loop that are no classes: `python -m tests.bench.loop_tasks FOLDER`.

Writes FOLDER/json (orders as JSON; then returns come, which have other keys) and FOLDER/free (whole sentences, decided
by the question; then other questions come), each with the before.jsonl and after.jsonl that `homeostat demo --data`
takes, drawn with a seed. The free one is for `--metric rouge_l`."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Row = dict[str, Any]

SEED = 7
ITEMS = ["mug", "lamp", "chair", "desk", "towel", "kettle", "shelf", "rug", "clock", "vase", "pillow", "blanket"]
NEW_ITEMS = ["tent", "torch", "rope", "stove", "sleeping-bag", "compass", "canteen", "hammock"]
CITIES = ["Leeds", "York", "Bath", "Derby", "Exeter", "Lincoln", "Durham", "Oxford"]
COLOURS = ["red", "blue", "green", "black", "white", "grey"]
NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
ORDERS = (
    "I would like {n} {k} {i}s sent to {c}",
    "please send {n} {k} {i}s to {c}",
    "can you ship {n} {i}s in {k} to {c}?",
    "we need {n} {k} {i}s delivered in {c} this week",
    "order for {c}: {n} {i}s, {k}",
    "hello, {n} {k} {i}s to {c} please",
)
REASONS = (
    ("arrived broken", "broken"),
    ("are the wrong size", "size"),
    ("came too late", "late"),
    ("are not what I ordered", "wrong"),
)
RETURNS = (
    "I want to give back {n} {i}s, they {w}",
    "{n} {i}s {w}, take them back please",
    "return of {n} {i}s because they {w}",
    "my {n} {i}s {w}; how do I return them?",
)
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
OPEN = {day: (9 if place < 5 else 10 if place == 5 else 11) for place, day in enumerate(DAYS)}
SHUT = {day: (18 if place < 5 else 16) for place, day in enumerate(DAYS)}
BRANCHES = ["north gate", "harbour", "old town", "station", "market square", "riverside"]
THINGS = ["parcel", "letter", "passport form", "gift card", "bicycle", "suitcase", "printer", "camera"]
HOURS = (
    "when do you open at the {b} branch on {d}?",
    "what are the opening hours on {d} in {b}?",
    "is the {b} shop open on {d}, and from when?",
    "{d} hours for {b} please",
    "hi, until when is {b} open on {d}?",
    "tell me when I can come to {b} on a {d}",
)
PLACES = (
    "where can I hand in a {t} in {b}?",
    "I have a {t} to drop at {b}, where do I go?",
    "does {b} take my {t}?",
    "who takes a {t} at the {b} branch?",
    "can somebody look at my {t} in {b}?",
)
LOSSES = (
    "I lost my {t} on {d}",
    "my {t} is missing since {d}",
    "since {d} I cannot find the {t} I left with you",
    "on {d} my {t} was not returned to me",
)
FEES = (
    "how much is it to store a {t} in {b}?",
    "what does keeping my {t} at {b} cost?",
    "price for a {t} at {b} please",
    "is there a fee for my {t} in {b}?",
)
GREETINGS = ("", "thanks", "hello,", "good morning,", "sorry to ask:", "quick question:", "hi there,")
CLOSINGS = ("", "thank you", "cheers", "best wishes", "asking for a friend")


class Tasks:
    """The rows of both tasks, in the order of their draws."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def order(self, items: list[str]) -> Row:
        """An order, and its JSON."""
        pick = self._rng.choice
        n, i, c, k = pick(list(NUMBERS)), pick(items), pick(CITIES), pick(COLOURS)
        text = pick(ORDERS)
        text = text.format(n=pick([n, str(NUMBERS[n])]), k=k, i=i, c=c)
        return {"text": text, "label": {"kind": "order", "item": i, "colour": k, "count": NUMBERS[n], "city": c}}

    def back(self, items: list[str]) -> Row:
        """A return, and its JSON."""
        pick = self._rng.choice
        n, i, (why, code) = pick(list(NUMBERS)), pick(items), pick(REASONS)
        text = pick(RETURNS)
        text = text.format(n=pick([n, str(NUMBERS[n])]), i=i, w=why)
        return {"text": text, "label": {"kind": "return", "item": i, "count": NUMBERS[n], "reason": code}}

    def changed(self) -> Row:
        """An order or a return, of old items and new ones."""
        return self.back(ITEMS + NEW_ITEMS) if self._rng.random() < 0.6 else self.order(ITEMS)

    def hours(self) -> Row:
        """When a branch is open."""
        d, b = self._rng.choice(DAYS), self._rng.choice(BRANCHES)
        text = self._rng.choice(HOURS).format(b=b, d=d)
        return {"text": text, "label": f"Our {b} branch is open from {OPEN[d]} to {SHUT[d]} o'clock on {d}."}

    def place(self) -> Row:
        """Where a thing is taken."""
        t, b = self._rng.choice(THINGS), self._rng.choice(BRANCHES)
        text = self._rng.choice(PLACES).format(t=t, b=b)
        return {"text": text, "label": f"Please bring the {t} to the front desk of our {b} branch and take a number."}

    def loss(self) -> Row:
        """A thing that was lost."""
        t, d = self._rng.choice(THINGS), self._rng.choice(DAYS)
        text = self._rng.choice(LOSSES).format(t=t, d=d)
        label = f"We are sorry about your {t}; the lost property office will call you back after {d}."
        return {"text": text, "label": label}

    def fee(self) -> Row:
        """What it costs to keep a thing."""
        t, b = self._rng.choice(THINGS), self._rng.choice(BRANCHES)
        text = self._rng.choice(FEES).format(t=t, b=b)
        return {"text": text, "label": f"Keeping a {t} costs four pounds a day; you can pay by card at {b}."}

    def spoken(self, *kinds: Callable[[], Row]) -> Row:
        """One of the kinds, as people write it."""
        row = self._rng.choice(kinds)()
        parts = (self._rng.choice(GREETINGS), row["text"], self._rng.choice(CLOSINGS))
        return {"text": " ".join(filter(None, parts)), "label": row["label"]}


def different(make: Callable[[], Row], count: int) -> list[Row]:
    """So many rows, of which no two ask the same."""
    found: dict[str, Row] = {}
    while len(found) < count:
        row = make()
        found.setdefault(row["text"], row)
    return list(found.values())


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def main(folder: Path) -> None:
    """Write both tasks into FOLDER."""
    tasks = Tasks(SEED)
    old, new = (tasks.hours, tasks.place), (tasks.loss, tasks.fee)
    parts: dict[str, tuple[Callable[[], Row], int]] = {
        "json/before": (lambda: tasks.order(ITEMS), 1_320),
        "json/after": (tasks.changed, 1_023),
        "free/before": (lambda: tasks.spoken(*old), 1_100),
        "free/after": (lambda: tasks.spoken(*old, *new, *new), 900),
    }
    for name, (make, count) in parts.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in different(make, count)))


if __name__ == "__main__":
    main()
