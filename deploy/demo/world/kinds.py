"""The kinds of worlds: the same tickets, as applications ask about them, or as users answer.

>>> rng, ticket = Random(0), LabelledRow("Where is order #48213?", "track order")
>>> [len(of_kind(kind, rng, ticket).messages) for kind in ("bare", "conversation", "tools", "sure")]
[0, 20, 2, 0]
"""

from __future__ import annotations

import json
from random import Random
from typing import Any, Literal, get_args

from deploy.demo.world import answers, requests
from deploy.demo.world.users import LabelKind
from deploy.operator.rows import LabelledRow
from streams.messages import chat_message

AnswerKind = Literal["tools", "extraction", "free text"]
WorldKind = requests.Kind | AnswerKind | LabelKind
ANSWER_KINDS: tuple[AnswerKind, ...] = get_args(AnswerKind)
LABEL_KINDS: tuple[LabelKind, ...] = get_args(LabelKind)
WORLD_KINDS: tuple[WorldKind, ...] = (*requests.KINDS, *ANSWER_KINDS, *LABEL_KINDS)


def of_kind(kind: WorldKind, rng: Random, row: LabelledRow) -> LabelledRow:
    """Return a bare ticket as a row of this kind; kinds that are about labels leave it as it is. `rng` draws what
    differs between rows besides the ticket. Raise ValueError for an unknown kind."""
    if kind not in WORLD_KINDS:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(map(repr, WORLD_KINDS))}")
    match kind:
        case "bare" | "thumbs" | "complaints" | "sure":
            return row
        case "tools":
            return answers.tools(row)
        case "extraction":
            return answers.extraction(row)
        case "free text":
            return answers.free_text(rng, row)
    chat = [chat_message(each) for each in requests.request(kind, rng, row.text)]
    return LabelledRow(chat[-1]["content"], row.label, chat)


def metric(kind: WorldKind) -> str:
    """Return the metric by which answers of this kind are judged."""
    return "rouge_l" if kind == "free text" else "exact_match"


def line(row: LabelledRow) -> str:
    """Return a row as a line of a file: a text and its label, or a chat, its answer, and what shapes that."""
    asked: dict[str, Any] = {"messages": row.messages} if row.messages else {"text": row.text}
    label = json.loads(row.label) if row.request else row.label
    return json.dumps({**asked, **row.request, "label": label}, ensure_ascii=False) + "\n"
