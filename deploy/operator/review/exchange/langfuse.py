"""Langfuse: traces as its ingestion takes them, and scores as its API gives them.

https://api.reference.langfuse.com: POST /api/public/ingestion takes `{"batch": [...]}` of events such as
`trace-create`, whose body's `id` we give; GET /api/public/v2/scores gives `{"data": [...], "meta": {...}}`. Annotators
need the score configurations verdict (boolean: is the answer right?), score (numeric, 0 to 1) and correction
(categorical, or a comment at a verdict of wrong)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from deploy.operator.review.answers import ReviewAnswer
from deploy.operator.review.exchange.documents import element, of_marks
from deploy.operator.review.queue import ReviewItem
from streams.clock import now_ms
from streams.codec import deterministic_id
from streams.files import utf8

NAMES = ("verdict", "score", "correction")
BY_PERSON = "ANNOTATION"


class TraceScore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One score."""

    trace_id: str
    name: str
    value: float | str | None = None
    string_value: str | None = None
    data_type: str = ""
    source: str = BY_PERSON
    comment: str | None = None
    author_user_id: str | None = None
    id: Any = None
    timestamp: Any = None
    created_at: Any = None
    updated_at: Any = None
    observation_id: Any = None
    session_id: Any = None
    dataset_run_id: Any = None
    config_id: Any = None
    queue_id: Any = None
    execution_trace_id: Any = None
    environment: Any = None
    project_id: Any = None
    metadata: Any = None
    trace: Any = None


class ScorePage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One page of scores."""

    data: list[msgspec.Raw]
    meta: Any = None


def written(items: Sequence[ReviewItem], alias: str) -> bytes:
    """Return a batch for the ingestion. Sent again, it changes nothing: its ids are those of the replies."""
    at = _iso(now_ms())
    batch = [
        {
            "id": deterministic_id("langfuse", each.id),
            "timestamp": at,
            "type": "trace-create",
            "body": {
                "id": each.id,
                "timestamp": at,
                "name": alias,
                "input": each.question,
                "output": each.answer,
                "metadata": {"why": each.why},
                "tags": ["homeostat-review"],
            },
        }
        for each in items
    ]
    return msgspec.json.format(msgspec.json.encode({"batch": batch})) + b"\n"


def read(data: bytes) -> list[ReviewAnswer]:
    """Return people's answers of a page of scores; scores of evaluators are none. Raise ValueError naming score and
    field."""
    marks: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    places: dict[tuple[str, str], str] = {}
    try:
        data = utf8(data).encode()
    except UnicodeError as error:
        raise ValueError(f"page: {error}; expected UTF-8") from error
    for number, raw in enumerate(element(data, ScorePage, "page").data, 1):
        line = data.count(b"\n", 0, max(data.find(bytes(raw)), 0)) + 1
        place = f"line {line}, score {number}"
        score = element(bytes(raw), TraceScore, place)
        if score.source == BY_PERSON:
            about = (score.trace_id, score.author_user_id or "")
            places.setdefault(about, place)
            marks[about] |= _mark(place, score)
    return [found for (id, by), some in marks.items() for found in of_marks(places[id, by], id, by, **_whole(some))]


def _mark(place: str, score: TraceScore) -> dict[str, Any]:
    if score.name not in NAMES:
        raise ValueError(f"{place}: name is {score.name!r}, expected one of {', '.join(NAMES)}")
    if score.name == "correction":
        return {"correction": score.string_value or score.comment}
    if isinstance(score.value, str) or score.value is None:
        raise ValueError(f"{place}: value is {score.value!r}, expected a number")
    if score.name == "score":
        return {"score": float(score.value)}
    if score.value not in (0, 1):
        raise ValueError(f"{place}: value is {score.value!r}, expected 1 (right) or 0 (wrong)")
    return {"accepted": score.value == 1} | ({"correction": score.comment} if score.comment and not score.value else {})


def _whole(marks: dict[str, Any]) -> dict[str, Any]:
    return {"accepted": None, "correction": None, "score": None} | marks


def _iso(at_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat().replace("+00:00", "Z")
