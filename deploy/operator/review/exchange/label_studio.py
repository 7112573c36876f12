"""Label Studio: tasks as its JSON import takes them, and its JSON export (not JSON-MIN).

https://labelstud.io/guide/tasks and https://labelstud.io/guide/export: a task is `data` with free keys; the export adds
`annotations`, each with a `result` of regions. CONFIG is the labelling interface that the project needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from deploy.operator.review.answers import ReviewAnswer
from deploy.operator.review.exchange.documents import elements, of_marks
from deploy.operator.review.queue import ReviewItem

CONFIG = """<View>
  <Text name="question" value="$question"/>
  <Text name="answer" value="$answer"/>
  <Choices name="verdict" toName="answer" choice="single"><Choice value="accept"/><Choice value="wrong"/></Choices>
  <TextArea name="correction" toName="answer" maxSubmissions="1"/>
  <Rating name="score" toName="answer" maxRating="10"/>
</View>
"""
STARS = 10


class TaskData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Our keys in a task."""

    id: str
    alias: str
    question: str
    answer: str
    why: str = ""


class ResultValue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The value of a region: one of these."""

    choices: list[str] = []
    text: list[str] | str = []
    rating: int | None = None


class Region(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One region of a result: what was filled in under a name of CONFIG."""

    from_name: str
    value: ResultValue
    id: str = ""
    to_name: str = ""
    type: str = ""
    origin: str = ""
    meta: Any = None


class TaskAnnotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one person filled in."""

    result: list[Region]
    completed_by: int | dict[str, Any] | None = None
    was_cancelled: bool = False
    id: Any = None
    ground_truth: Any = None
    created_at: Any = None
    updated_at: Any = None
    draft_created_at: Any = None
    lead_time: Any = None
    prediction: Any = None
    result_count: Any = None
    unique_id: Any = None
    import_id: Any = None
    last_action: Any = None
    bulk_created: Any = None
    task: Any = None
    project: Any = None
    updated_by: Any = None
    parent_prediction: Any = None
    parent_annotation: Any = None
    last_created_by: Any = None


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task of an export."""

    data: TaskData
    annotations: list[TaskAnnotation] = []
    id: Any = None
    meta: Any = None
    predictions: Any = None
    drafts: Any = None
    file_upload: Any = None
    created_at: Any = None
    updated_at: Any = None
    inner_id: Any = None
    total_annotations: Any = None
    cancelled_annotations: Any = None
    total_predictions: Any = None
    comment_count: Any = None
    unresolved_comment_count: Any = None
    last_comment_updated_at: Any = None
    project: Any = None
    updated_by: Any = None
    comment_authors: Any = None


def written(items: Sequence[ReviewItem], alias: str) -> bytes:
    """Return tasks to import."""
    tasks = [
        {"data": TaskData(id=each.id, alias=alias, question=each.question, answer=each.answer, why="; ".join(each.why))}
        for each in items
    ]
    return msgspec.json.format(msgspec.json.encode(tasks)) + b"\n"


def read(data: bytes) -> list[ReviewAnswer]:
    """Return the answers of an export; skipped annotations are none. Raise ValueError naming task and field."""
    return [
        found
        for place, task in elements(data, Task, "task")
        for each in task.annotations
        if not each.was_cancelled
        for found in _answers(place, task.data.id, each)
    ]


def _answers(place: str, id: str, annotation: TaskAnnotation) -> list[ReviewAnswer]:
    marks: dict[str, Any] = {}
    for region in annotation.result:
        text = region.value.text if isinstance(region.value.text, str) else "\n".join(region.value.text)
        chosen = " and ".join(region.value.choices)
        values = {"verdict": chosen, "correction": text, "score": region.value.rating}
        if region.from_name not in values:
            raise ValueError(f"{place}: from_name is {region.from_name!r}, expected one of {', '.join(values)}")
        marks[region.from_name] = values[region.from_name]
    verdict = marks.get("verdict")
    if verdict not in (None, "accept", "wrong"):
        raise ValueError(f"{place}: choices is {verdict!r}, expected accept or wrong")
    stars = marks.get("score")
    score = None if stars is None else stars / STARS
    accepted = None if verdict is None else verdict == "accept"
    return of_marks(place, id, _author(annotation), accepted=accepted, correction=marks.get("correction"), score=score)


def _author(annotation: TaskAnnotation) -> str:
    by = annotation.completed_by
    return str(by.get("id", "")) if isinstance(by, dict) else "" if by is None else str(by)
