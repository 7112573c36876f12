"""JSON documents read by their structure, with errors that name where and which field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from deploy.operator.review.answers import ReviewAnswer
from monitor.canonical import UNREADABLE
from streams.files import utf8

T = TypeVar("T")


def elements(data: bytes, kind: type[T], noun: str) -> Iterator[tuple[str, T]]:
    """Yield the elements of a JSON array, each with its line and place. Raise ValueError naming both, and the field."""
    try:
        found = msgspec.json.decode(utf8(data), type=list[msgspec.Raw])
    except UNREADABLE as error:
        raise ValueError(f"{error}; expected a JSON array of {noun}s, as the tool exports it") from error
    at = 0
    for number, raw in enumerate(found, 1):
        at = data.find(bytes(raw), at)
        line = data.count(b"\n", 0, at) + 1
        place = f"line {line}, {noun} {number}"
        at += len(bytes(raw))
        yield place, element(bytes(raw), kind, place)


def lines(data: bytes, kind: type[T]) -> Iterator[tuple[str, T]]:
    """Yield the objects of JSON lines, each with its place, blank lines left out. Raise ValueError as `elements`."""
    try:
        text = utf8(data).replace("\r\n", "\n")
    except UnicodeError as error:
        raise ValueError(f"{error}; expected UTF-8") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            place = f"line {number}"
            yield place, element(line.encode(), kind, place)


def element(raw: bytes, kind: type[T], place: str) -> T:
    """Return one object. Raise ValueError naming place and field."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNREADABLE as error:
        raise ValueError(f"{place}: {error}") from error


def answer(place: str, make: Callable[[], ReviewAnswer]) -> ReviewAnswer:
    """Return an answer. Raise ValueError naming its place where it is none."""
    try:
        return make()
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def of_marks(place: str, id: str, by: str, *, accepted: Any, correction: Any, score: Any) -> list[ReviewAnswer]:
    """Return the answers of one annotation: a correction goes before the verdict, and
    a score is an answer of its own. "wrong" without a correction is a score of 0.

    >>> of_marks("line 1", "r", "ann", accepted=False, correction="loan", score=None)
    [ReviewAnswer(id='r', verdict='correct', text='loan', score=None, by='ann')]
    """
    found: list[Callable[[], ReviewAnswer]] = []
    if accepted is True and correction:
        raise ValueError(f"{place}: verdict is accept with a correction, expected one of them")
    if correction:
        found.append(lambda: ReviewAnswer(id, "correct", text=correction, by=by))
    elif accepted is True:
        found.append(lambda: ReviewAnswer(id, "accept", by=by))
    elif accepted is False and score is None:
        found.append(lambda: ReviewAnswer(id, "score", score=0.0, by=by))
    if score is not None:
        found.append(lambda: ReviewAnswer(id, "score", score=score, by=by))
    return [answer(place, each) for each in found]
