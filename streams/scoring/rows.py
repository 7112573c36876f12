"""What is scored: a request, its answer, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from streams.events import InferenceServed, Json
from streams.messages import ToolCall, chat_calls, chat_message


class AnsweredRow(NamedTuple):
    """One answer to one request."""

    request: dict[str, Json]  # `messages`, and what else decided the answer (tools, ...), as OpenAI's chat has them
    text: str  # what labels are compared with: the first choice's text, or its calls in one form
    choices: list[dict[str, Json]]  # all of the answer, as a chat completion has it
    truth: str | None = None  # what the answer should have been

    @property
    def question(self) -> str:
        """Return the messages as a text: of several, each with its role."""
        messages = self.request.get("messages", [])
        if len(messages) == 1:
            return str(messages[0]["content"])
        return "\n\n".join(f"{each['role']}: {_content(each)}" for each in messages)

    @property
    def answer(self) -> dict[str, Json]:
        """Return the answer as a callable gets it."""
        return {"text": self.text, "choices": self.choices}


class Unjudged(StrEnum):
    """Why a row has no score. It is never taken for a wrong answer."""

    NO_TRUTH = "no truth"  # the metric compares with one
    TOO_LONG = "too long"  # for the metric's work to end
    TOO_SHORT = "too short"  # for its tone to be measured
    BUDGET = "budget"  # the judge model's, of this day
    AWAY = "away"  # the judge model cannot be reached, is overloaded, or takes no key of ours
    REFUSED = "refused"  # the judge model takes this row's request never
    NONSENSE = "nonsense"  # the judge model's answer is no score
    RAISED = "raised"  # the callable's error
    OUTSIDE = "outside"  # the callable's result is no number from 0 to 1
    SLOW = "slow"  # the callable did not end in time


LATER = frozenset({Unjudged.BUDGET, Unjudged.AWAY})  # worth another try


class Grader(Protocol):
    """One way to score answers."""

    async def scores(self, rows: Sequence[AnsweredRow]) -> list[float | Unjudged]:
        """Return a score from 0 to 1, the best, for each row, or why it has none. Raises nothing for a row."""


def served_row(event: InferenceServed, truth: str | None = None) -> AnsweredRow:
    """Return a reply as it is scored."""
    request = {**event.request, "messages": [chat_message(each) for each in event.input_messages]}
    choices = [chat_choice(each.content, each.tool_calls, each.finish_reason) for each in event.choices]
    return AnsweredRow(request, event.output, choices or [chat_choice(event.output, [], event.finish_reason)], truth)


def chat_choice(content: str, calls: list[ToolCall], finish_reason: str) -> dict[str, Any]:
    """Return one choice of a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = chat_calls(calls)
    return {"message": message, "finish_reason": finish_reason}


def _content(message: dict[str, Json]) -> str:
    called = "".join(f"\n{each['function']['name']}({each['function']['arguments']})" for each in _calls(message))
    return f"{message['content']}{called}"


def _calls(message: dict[str, Json]) -> list[dict[str, Json]]:
    return list(message.get("tool_calls", []))
