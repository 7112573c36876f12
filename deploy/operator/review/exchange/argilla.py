"""Argilla 2: records as `dataset.records.from_json` takes them and `dataset.records.to_json` writes them.

https://docs.argilla.io/latest/how_to_guides/import_export/: a JSON array of records with `id`, `fields`, `metadata`,
`suggestions`, `responses` by question, `vectors`, `status`, `_server_id`. The dataset needs the fields question and
answer, and one or more of the questions verdict (a label: accept, wrong), correction (text) and score (a rating from 0
to 10)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from deploy.operator.review.answers import ReviewAnswer
from deploy.operator.review.exchange.documents import elements, of_marks
from deploy.operator.review.queue import ReviewItem

QUESTIONS = ("verdict", "correction", "score")
HIGHEST = 10  # rating


class QuestionResponse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person's response to one question."""

    value: Any
    user_id: str = ""
    status: str = ""


class ArgillaRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One record."""

    id: str
    fields: dict[str, Any]
    metadata: dict[str, Any] = {}
    suggestions: dict[str, Any] = {}
    responses: dict[str, list[QuestionResponse]] = {}
    vectors: dict[str, Any] = {}
    status: str = "pending"
    server_id: str | None = msgspec.field(default=None, name="_server_id")


def written(items: Sequence[ReviewItem], alias: str) -> bytes:
    """Return records to import."""
    records = [
        ArgillaRecord(
            id=each.id,
            fields={"question": each.question, "answer": each.answer},
            metadata={"alias": alias, "why": "; ".join(each.why)},
        )
        for each in items
    ]
    return msgspec.json.format(msgspec.json.encode(records)) + b"\n"


def read(data: bytes) -> list[ReviewAnswer]:
    """Return the answers of an export, of each person; drafts and discarded responses are none. Raise ValueError naming
    record and field."""
    return [found for place, record in elements(data, ArgillaRecord, "record") for found in _answers(place, record)]


def _answers(place: str, record: ArgillaRecord) -> list[ReviewAnswer]:
    people: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, responses in record.responses.items():
        if name not in QUESTIONS:
            raise ValueError(f"{place}: responses.{name} is not known, expected {', '.join(QUESTIONS)}")
        for each in responses:
            if each.status not in ("draft", "discarded"):
                people[each.user_id][name] = each.value
    return [found for by, marks in people.items() for found in _of_person(place, record.id, by, marks)]


def _of_person(place: str, id: str, by: str, marks: dict[str, Any]) -> list[ReviewAnswer]:
    verdict, correction, rating = (marks.get(name) for name in QUESTIONS)
    if verdict not in (None, "accept", "wrong"):
        raise ValueError(f"{place}: responses.verdict is {verdict!r}, expected accept or wrong")
    if not isinstance(correction, str | None):
        raise ValueError(f"{place}: responses.correction is {correction!r}, expected text")
    if rating is not None and (isinstance(rating, bool) or not isinstance(rating, int) or not 0 <= rating <= HIGHEST):
        raise ValueError(f"{place}: responses.score is {rating!r}, expected a whole number from 0 to {HIGHEST}")
    accepted, score = None if verdict is None else verdict == "accept", None if rating is None else rating / HIGHEST
    return of_marks(place, id, by, accepted=accepted, correction=correction, score=score)
