"""What was asked and what was answered, as an event has it: masked, and cut where it is long."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from monitor.canonical import UNREADABLE
from monitor.describe.pii import Suspicions
from serving.gateway.excerpt import excerpts, fits
from serving.gateway.masking import Masker
from serving.gateway.openai.answer import CollectedAnswer, CollectedChoice
from streams.messages import Message, ReplyChoice, ToolCall

LONGEST_ROLE = 64
LONGEST_NAME = 256  # of a call, or its id, in an answer that is cut
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "text"})  # others are a client's own
KNOWN, SMALL = 512, 16_384  # fields that are remembered masked, and their bytes: tools come again with each request

Mask = Callable[[str], str]


@dataclass(slots=True)
class Transcriber:
    """A writer of what an event holds of one exchange. `chars`: of a question, and of an answer, at most; a quarter of
    that of what else was asked for. `compared`: what a label is compared with, where it was masked already. `cut`: what
    is not whole."""

    masker: Masker
    chars: int
    compared: str | None = None
    cut: list[str] = field(default_factory=list)
    doubts: Suspicions = field(default_factory=Suspicions)  # that the texts of one event share

    def mask(self, text: str) -> str:
        """Return a text masked."""
        return self.masker.whole(text, self.doubts)

    def question(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages; of long ones excerpts, their calls among the text."""
        if fits([text for each in messages for text in (*_texts(each), *_ids(each))], self.chars):
            return [self._message(each) for each in messages]
        self.cut.append("input_messages")
        contents = excerpts(["\n".join(_texts(each)) for each in messages], self.chars, self.mask)
        found = zip(messages, contents, strict=True)
        kept = [Message(self._role(each.role), content) for each, content in found if content is not None]
        if left := len(messages) - len(kept):
            kept.insert(1, Message("text", f"[{left} messages left out]"))
        return kept

    def answer(self, answer: CollectedAnswer) -> tuple[str, list[ReplyChoice]]:
        """Return what a label is compared with, and all choices where that is not the whole answer: each has half of
        the room then."""
        if not (answer.others or answer.first.calls or answer.first.reasoning):
            return self._output(answer.compared, self.chars), []
        return self._output(answer.compared, self.chars // 2), self._choices(answer.all, self.chars // 2)

    def _output(self, text: str, chars: int) -> str:
        if len(text) <= chars:
            return self.mask(text) if self.compared is None else self.compared
        self.cut.append("output")
        return excerpts([text], chars, self.mask)[0] or ""

    def _choices(self, found: Sequence[CollectedChoice], chars: int) -> list[ReplyChoice]:
        texts = [text for each in found for text in (each.text, "".join(each.reasoning), *_arguments(each))]
        if fits([*texts, *(call.name + call.id for each in found for call in each.calls.values())], chars):
            return [self._choice(each) for each in found]
        self.cut.append("choices")
        kept = iter(excerpts(texts, chars, self.mask))
        return [self._excerpted(each, [next(kept) or "" for _ in range(2 + len(each.calls))]) for each in found]

    def request(self, fields: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
        """Return what else was asked for, the small fields first where there is no room for all."""
        kept: dict[str, Any] = {}
        room = self.chars // 4
        for name, raw in sorted(fields.items(), key=lambda each: memoryview(each[1]).nbytes):
            data = bytes(raw)
            room -= len(data)
            if room < 0:
                self.cut.append(f"request.{name}")
                continue
            try:
                kept[name] = msgspec.Raw(_known(self.masker, data) if len(data) <= SMALL else _field(self.masker, data))
            except UNREADABLE:  # nested deeper than it can be masked
                self.cut.append(f"request.{name}")
        return kept

    def _message(self, message: Message) -> Message:
        role, content = self._role(message.role), self.mask(message.content)
        if not (message.tool_calls or message.tool_call_id):
            return Message(role, content)
        calls = [self._call(call.name, call.arguments, call.id) for call in message.tool_calls]
        return Message(role, content, calls, self.mask(message.tool_call_id))

    def _choice(self, choice: CollectedChoice) -> ReplyChoice:
        return ReplyChoice(
            self.mask(choice.text),
            self.mask("".join(choice.reasoning)),
            [self._call(call.name, call.arguments, call.id) for call in choice.calls.values()],
            choice.finish_reason,
        )

    def _excerpted(self, choice: CollectedChoice, texts: Sequence[str]) -> ReplyChoice:
        content, reasoning, *arguments = texts
        found = zip(choice.calls.values(), arguments, strict=True)
        calls = [ToolCall(self._name(call.name), text, self._name(call.id)) for call, text in found]
        return ReplyChoice(content, reasoning, calls, choice.finish_reason)

    def _call(self, name: str, arguments: str, id: str) -> ToolCall:
        return ToolCall(self.mask(name), self.mask(arguments), self.mask(id))

    def _name(self, name: str) -> str:
        return self.mask(name)[:LONGEST_NAME]

    def _role(self, role: str) -> str:
        return role if role in ROLES else self.mask(role[:LONGEST_ROLE])


def _field(masker: Masker, data: bytes) -> bytes:
    """Return the field masked. Raise one of UNREADABLE for what a reader of the event could not read: a number beyond
    all bounds, or too deep within the event."""
    masked = masker.json(data.decode(), Suspicions()).encode()
    msgspec.json.decode(b"[[%b]]" % masked)
    return masked


_known = lru_cache(maxsize=KNOWN)(_field)


def _texts(message: Message) -> list[str]:
    return [message.content, *(f"{call.name} {call.arguments}" for call in message.tool_calls)]


def _ids(message: Message) -> list[str]:
    """Return the names by which calls and answers of tools belong together, where there are any."""
    return [name for name in (message.tool_call_id, *(call.id for call in message.tool_calls)) if name]


def _arguments(choice: CollectedChoice) -> list[str]:
    return [call.arguments for call in choice.calls.values()]
