"""The messages of a request, of any operation: their texts, their calls, and what other parts are."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from streams.messages import Message, ToolCall

BLOBS = ("image_url", "input_image", "input_audio", "audio_url", "video_url", "input_file", "file")  # types of parts
NAMES = ("url", "data", "file_data", "image_url", "file_id")  # in which their content is, in the order of looking
DIGITS = 16  # of a blob's digest: enough to see that two are the same


def messages(given: list[Any]) -> list[Message]:
    """Return a chat's messages, or the items of a response's input."""
    return [_message(item) for item in given if isinstance(item, dict)]


def prompt_text(prompt: object) -> str:
    """Return a prompt as text; tokens as how many there are.

    >>> prompt_text([17, 4]), prompt_text("The sky is")
    ('[2 tokens]', 'The sky is')
    """
    if isinstance(prompt, str):
        return prompt
    return f"[{len(prompt)} tokens]" if isinstance(prompt, list) else "[tokens]"


def _message(item: Mapping[str, Any]) -> Message:
    kind = item.get("type")
    if kind == "function_call":  # items of a response's input, as the next
        return Message("assistant", "", [_call(item, _string(item.get("call_id")))])
    if kind == "function_call_output":
        return Message("tool", _content(item.get("output")), tool_call_id=_string(item.get("call_id")))
    content, role = _content(item.get("content")), _string(item.get("role"))
    if "tool_calls" in item or "function_call" in item:
        return Message(role, content, list(_calls(item)))
    if "tool_call_id" in item:
        return Message(role, content, tool_call_id=_string(item["tool_call_id"]))
    return Message(role, content)


def _calls(item: Mapping[str, Any]) -> Iterator[ToolCall]:
    given = item.get("tool_calls")
    for call in given if isinstance(given, list) else ():
        if isinstance(call, dict) and isinstance(call.get("function"), dict):
            yield _call(call["function"], _string(call.get("id")))
    if isinstance(item.get("function_call"), dict):  # of an earlier interface
        yield _call(item["function_call"], "")


def _call(function: Mapping[str, Any], id: str) -> ToolCall:
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()
    return ToolCall(_string(function.get("name")), text, id)


def _content(content: object) -> str:
    """Return a message's content: text, or its parts, a line each."""
    if isinstance(content, str):
        return content
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return "\n".join(_part(part) for part in parts)


def _part(part: Mapping[str, Any]) -> str:
    """Return a part's text, or what it is instead: `[image_url image/png 3021 bytes 0f3a...]`, by its digest."""
    if "text" in part:
        return _string(part["text"])
    kind = _string(part.get("type")) or "part"
    return f"[{kind}{_blob(part, kind)}]" if kind in BLOBS else f"[{kind}]"


def _blob(part: Mapping[str, Any], kind: str) -> str:
    inner = part.get(kind)
    holder = inner if isinstance(inner, dict) else part
    given: str | None = next((holder[name] for name in NAMES if isinstance(holder.get(name), str)), None)
    if given is None:
        return ""
    form = ""
    if given.startswith("data:"):
        form, _, given = given[5:].partition(",")
        form = form.partition(";")[0]
    elif "://" in given[:16]:  # the address of one: it may have a key in it
        return f" elsewhere {_digest(given.encode(errors='replace'))}"
    try:
        content = base64.b64decode(given)
    except ValueError:
        content = given.encode(errors="replace")
    return " ".join(["", *([form] if form else []), f"{len(content)} bytes {_digest(content)}"])


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
