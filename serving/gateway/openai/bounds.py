"""Bounds on the work that one request asks for: of the engine, and of the loop that all requests share."""

from __future__ import annotations

from typing import Any

import msgspec

from monitor.canonical import UNREADABLE
from serving.gateway.errors import ApiError
from serving.gateway.openai.coercion import whole_number
from serving.gateway.openai.request_body import Operation, ParsedRequest
from serving.settings import GatewaySettings

LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "min_tokens")
COUNTS = ("n", "best_of")
ANSWERS = frozenset({*COUNTS, "prompt_embeds"})
ENDS = ("stop", "bad_words")  # which an engine looks for at each token
BOUNDED = frozenset({*LENGTHS, *ANSWERS, *ENDS, "tools"})
GENERATING = (Operation.CHAT, Operation.COMPLETION)
PARTS = ("content", "output", "tool_calls")
BEYOND = 10**12
_items = msgspec.json.Decoder(list[msgspec.Raw])


def check(asked: ParsedRequest, settings: GatewaySettings) -> int:
    """Return how many answers are asked for. Raise ApiError naming the field that asks for more than the operator
    allows, what it asks for, and the bound."""
    _check_question(asked, settings)
    if asked.operation is Operation.COMPLETION or not BOUNDED.isdisjoint(asked.fields):
        return _check_numbers(asked, settings)
    return asked.prompts


def _check_numbers(asked: ParsedRequest, settings: GatewaySettings) -> int:
    fields, answers = asked.fields, 1
    if "tools" in fields:
        _at_most("tools", "tools", _listed(asked, "tools"), "max_tools", settings.max_tools)
    if asked.operation is Operation.COMPLETION or not ANSWERS.isdisjoint(fields):
        answers = _answers(asked, settings)
    for name in ENDS:
        if name in fields:
            _at_most(name, "texts", _listed(asked, name), "max_texts", settings.max_texts)
    unit = "tokens" if answers == 1 else f"tokens in {answers} answers"
    for name in LENGTHS:
        if name in fields:
            _at_most(name, unit, answers * _number(asked, name), "max_tokens", settings.max_tokens)
    return max(answers, asked.prompts)


def _check_question(asked: ParsedRequest, settings: GatewaySettings) -> None:
    name, known = _FIELDS[asked.operation], asked.known
    given = getattr(known, name)
    if not isinstance(given, list) or _is_small(asked, name, min(settings.max_messages, settings.max_texts)):
        return
    if asked.operation in (Operation.CHAT, Operation.RESPONSE):
        _at_most(name, "messages", len(given), "max_messages", settings.max_messages)
        _at_most(name, "texts", sum(_parts(each) for each in given), "max_texts", settings.max_texts)
    else:
        _at_most(name, "texts", asked.prompts, "max_texts", settings.max_texts)


def _is_small(asked: ParsedRequest, name: str, most: int) -> bool:
    """Return whether there are too few bytes for so many items, of two bytes at least: nearly always."""
    raw = asked.fields.get(name)
    return raw is not None and memoryview(raw).nbytes < 2 * most


def _answers(asked: ParsedRequest, settings: GatewaySettings) -> int:
    """Return how many answers are asked for, each once it is generated."""
    if asked.operation not in GENERATING:
        return 1
    prompts, most = max(asked.prompts, 1) + _listed(asked, "prompt_embeds"), 1
    for name in COUNTS:
        each = max(_number(asked, name), 1)
        _at_most(name if each > 1 else "prompt", "answers", prompts * each, "max_answers", settings.max_answers)
        most = max(most, prompts * each)
    return most


def _at_most(name: str, unit: str, found: int, setting: str, most: int) -> None:
    if found > most:
        message = f"{name} asks for {found} {unit}, expected at most {most} (gateway.{setting})"
        raise ApiError(400, message, name, "too_much")


def _number(asked: ParsedRequest, name: str) -> int:
    """Return the number as the engine reads it; 0 where it is none, and no more than can be shown."""
    return min(whole_number(getattr(asked.known, name)) or 0, BEYOND)


def _listed(asked: ParsedRequest, name: str) -> int:
    """Return how many items the field has; 0 where it is no list."""
    raw = asked.fields.get(name)
    if raw is None:
        return 0
    try:
        return len(_items.decode(raw))
    except UNREADABLE:
        return 0


def _parts(message: Any) -> int:
    """Return how many texts a message brings: parts of its content, or of a tool's answer, and calls."""
    given = [message.get(name) for name in PARTS] if isinstance(message, dict) else []
    return max(1, sum(len(each) for each in given if isinstance(each, list)))


_FIELDS = {
    Operation.CHAT: "messages",
    Operation.COMPLETION: "prompt",
    Operation.RESPONSE: "input",
    Operation.EMBEDDING: "input",
}
