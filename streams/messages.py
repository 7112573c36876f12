"""What was asked and what was answered, as events have it: messages, answers, and the calls of tools in both."""

from __future__ import annotations

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
