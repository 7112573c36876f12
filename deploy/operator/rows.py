"""Labelled rows in files, one a line: a message and its label, or a chat and its answer as OpenAI's fine-tuning files
have them. Every problem is named with file, line and field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from monitor.canonical import UNREADABLE, calls, canonical
from retrain.data.example import FIRST, Example
from retrain.evaluation.engine.replay import SHAPING
from serving.gateway.openai.messages import messages
from streams.codec import deterministic_id

SHOWN = 10  # problems of one file that the message names
LONGEST_VALUE = 60
FORM = '{"text": "...", "label": "..."} or {"messages": [..., {"role": "assistant", ...}]}'
TEXT = "a text that is not empty"
ANSWER = "a text, an object or a list of calls"


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """What is asked, and its right answer. `messages`: of a chat, of which `text` is the last; none where `text` is
    all. `request`: what else decides the answer: tools, a format."""

    text: str
    label: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    request: dict[str, Any] = field(default_factory=dict)

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Return the messages, as OpenAI's interface has them."""
        return self.messages or [{"role": "user", "content": self.text}]

    def example(self) -> Example:
        """Return the row as a first adapter is trained on it."""
        whole = [msgspec.json.encode([self.messages, self.request]).decode()] if self.messages or self.request else []
        return Example(
            id=deterministic_id("first", self.text, self.label, *whole),
            messages=messages(self.asked),
            completion=self.label,
            source=FIRST,
            request=self.request,
        )


class DataError(ValueError):
    """The data cannot be used; the message lists the problems, with file, line and field."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.problems = problems
        shown = [f"  - {problem}" for problem in problems[:SHOWN]]
        more = [f"  ... and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        super().__init__("\n".join([f"{path}: {len(problems)} problem(s)", *shown, *more]))


def read_file(path: Path, least: int = 1) -> list[LabelledRow]:
    """Return all rows of a file. Ignore blank lines and further fields; raise DataError with all problems at once."""
    rows: list[LabelledRow] = []
    problems: list[str] = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        found = parse(line)
        if isinstance(found, LabelledRow):
            rows.append(found)
        else:
            problems += [f"line {number}: {problem}" for problem in found]
    if len(rows) < least and not problems:
        problems = [f"{len(rows)} rows, expected at least {least}: add rows of the form {FORM}"]
    if problems:
        raise DataError(path, problems)
    return rows


def parse(line: bytes) -> LabelledRow | list[str]:
    """Return the row on a line, or what is wrong with it.

    >>> parse(b'{"text": "hello", "label": 3}')
    ['field "label" is 3, expected a text, an object or a list of calls']
    >>> parse(b'{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}').label
    'Hello'
    """
    try:
        line.decode()
        value = msgspec.json.decode(line)
    except UnicodeDecodeError as error:
        return [f"byte {error.start + 1} ({line[error.start]:#04x}) is not UTF-8; save the file as UTF-8"]
    except UNREADABLE as error:
        return [f"not JSON ({error}): {_short(line.decode())}; expected one object a line, {FORM}"]
    if not isinstance(value, dict):
        return [f"{_short(value)} is not an object; expected {FORM}"]
    if problems := [*_asking(value), *_answering(value), *_shaping(value)]:
        return problems
    request = {name: value[name] for name in SHAPING if name in value}
    chat = value.get("messages", [])
    if "label" in value:
        return LabelledRow(value["text"] if not chat else _text(chat), _written(value["label"]), chat, request)
    *before, last = chat
    return LabelledRow(_text(before), _answer(last), before, request)


def _asking(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with what is asked."""
    chat = value.get("messages")
    if chat is None:
        if "text" not in value:
            yield f'field "text" is missing; found {_fields(value)}'
        elif not isinstance(value["text"], str) or not value["text"].strip():
            yield f'field "text" is {_short(value["text"])}, expected {TEXT}'
    elif not isinstance(chat, list) or not chat:
        yield f'field "messages" is {_short(chat)}, expected a list of messages'
    else:
        for place, message in enumerate(chat):
            if not isinstance(message, dict) or not isinstance(message.get("role"), str):
                yield f'field "messages[{place}]" is {_short(message)}, expected an object with role and content'
            elif not isinstance(message.get("content"), str | list) and not message.get("tool_calls"):
                found = _short(message.get("content"))
                yield f'field "messages[{place}].content" is {found}, expected a text or a list of parts'


def _answering(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the answer."""
    chat = value.get("messages")
    last = chat[-1] if isinstance(chat, list) and chat and isinstance(chat[-1], dict) else {}
    if "label" in value:
        if not isinstance(value["label"], str | dict | list) or not _written(value["label"]).strip():
            yield f'field "label" is {_short(value["label"])}, expected {ANSWER}'
    elif not chat:
        yield f'field "label" is missing; found {_fields(value)}'
    elif last.get("role") != "assistant" or len(chat) < 2:
        yield 'field "label" is missing, and "messages" do not end with an answer (role "assistant") to another message'
    elif not _answer(last).strip():
        yield f'field "messages[{len(chat) - 1}].content" is {_short(last.get("content"))}, expected an answer'


def _shaping(value: Mapping[str, Any]) -> Iterator[str]:
    tools = value.get("tools", [])
    if not isinstance(tools, list) or not all(isinstance(each, dict) and "function" in each for each in tools):
        yield f'field "tools" is {_short(tools)}, expected a list of {{"type": "function", "function": {{...}}}}'


def _answer(message: Mapping[str, Any]) -> str:
    """Return an assistant's message as labels have it: its calls, else its text."""
    (read,) = messages([message])
    return calls([(call.name, call.arguments) for call in read.tool_calls]) if read.tool_calls else read.content


def _text(chat: list[dict[str, Any]]) -> str:
    return messages(chat[-1:])[0].content


def _written(label: str | dict[str, Any] | list[Any]) -> str:
    """Return a label as text: of JSON its one form."""
    text = label if isinstance(label, str) else msgspec.json.encode(label).decode()
    return text if isinstance(label, str) else canonical(text) or text


def _fields(value: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, value)) or "no fields"


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except FileNotFoundError as error:
        raise DataError(path, ["does not exist; expected JSON lines, one row a line"]) from error
    except OSError as error:
        raise DataError(path, [f"cannot be read: {error.strerror}"]) from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."
