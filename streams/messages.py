"""What was asked and what was answered, as events have it: messages, answers, and the calls of tools in both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool that an answer calls."""

    name: str  # masked, as the next
    arguments: str  # as the engine or the client wrote them, which should be JSON; masked within its values
    id: str = ""  # by which the tool's answer names its call


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One chat message; `/v1/completions` prompts are one message with the role `text`."""

    role: str  # system, developer, user, assistant, tool, text, or a client's own, masked
    content: str  # masked; cut, with a mark in it, where the question is long (`gateway.capture_chars`)
    tool_calls: list[ToolCall] = []  # of an assistant
    tool_call_id: str = ""  # of a tool's answer: the call that it answers


class ReplyChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of a reply's answers."""

    content: str = ""  # masked, as all of it; cut where the answer is long
    reasoning: str = ""  # what the engine gave apart from the content
    tool_calls: list[ToolCall] = []  # in their order
    finish_reason: str = ""  # the engine's own


def chat_message(message: Message, arguments: Callable[[str], Any] = str) -> dict[str, Any]:
    """Return a message as OpenAI's chat interface has it; the arguments of calls are JSON text there.

    >>> chat_message(Message("user", "My card?"))
    {'role': 'user', 'content': 'My card?'}
    """
    found: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        found["tool_calls"] = chat_calls(message.tool_calls, arguments)
    if message.tool_call_id:
        found["tool_call_id"] = message.tool_call_id
    return found


def chat_calls(calls: list[ToolCall], arguments: Callable[[str], Any] = str) -> list[dict[str, Any]]:
    """Return calls of tools as OpenAI's chat interface has them."""
    return [
        {"type": "function", "id": each.id, "function": {"name": each.name, "arguments": arguments(each.arguments)}}
        for each in calls
    ]


def comparable(known: bool | None, output: str) -> bool:
    """Return whether a label can be compared with a reply's output: it is one whole text. A tool call, reasoning alone,
    one of several answers are not, and no label makes them wrong. `known`: the event's own field.

    >>> comparable(None, "card_arrival"), comparable(None, " "), comparable(False, "Let me look.")
    (True, False, False)
    """
    return bool(output.strip()) if known is None else known
