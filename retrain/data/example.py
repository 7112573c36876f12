"""One labelled row, of whichever source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from monitor.canonical import UNREADABLE
from monitor.metrics import normalise
from monitor.selection.sources import JUDGE, may_judge
from streams.events import Json
from streams.messages import Message, chat_message
from streams.scoring.rows import AnsweredRow, chat_choice

FRESH, REHEARSAL, FIRST, SYNTHETIC = "fresh", "rehearsal", "first", "synthetic"
MADE_FROM = "~"  # in a synthetic row's id, after the id of the real row that it was made from


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """Messages and the answer that they should get."""

    id: str
    messages: list[Message]
    completion: str
    source: str  # FRESH (since the harm began), REHEARSAL (the healthy time), FIRST (a first adapter's rows), SYNTHETIC
    client: str = ""
    time_ms: int = 0
    predicted: str = ""  # what the champion answered
    tags: dict[str, str] = {}
    request: dict[str, Json] = {}  # what else decided the answer, as `InferenceServed.request`
    user: str = ""  # who asked, by pseudonym, where the request named one
    conversation: str = ""  # likewise
    unit: str = ""  # the row that stands for it and its like in a verdict: of its conversation, or nearly the same
    selection: str = ""  # who chose the reply for its label (`monitor.selection.sources.Selection`)
    # reviewer/KEY or downstream/KEY, where one of these gave the label; empty: the client did. synthetic/NAME: what
    # made the row
    by: str = ""
    tenant: str = ""  # by whose key private values were masked
    quarantined: str = ""  # why its label is not believed; empty: it is

    @property
    def raw(self) -> bool:
        """Return whether it is a prompt of /v1/completions, which is served without a chat template."""
        return [message.role for message in self.messages] == ["text"]

    @property
    def unlabelled(self) -> bool:
        """Return whether it is an audited reply whose label is missing: what it should have been is not known."""
        return not self.completion and self.selection != JUDGE

    @property
    def reviewed(self) -> bool:
        """Return whether one with the authority to overrule clients gave the label."""
        return self.by.startswith(("reviewer/", "downstream/"))

    @property
    def synthetic(self) -> bool:
        """Return whether no person sent it."""
        return self.source == SYNTHETIC

    @property
    def about(self) -> str:
        """Return the id of the reply that the row rests on: of a synthetic row its seed's; empty where it has none."""
        return self.id.partition(MADE_FROM)[0]

    @property
    def labeller(self) -> str:
        """Return the person or system that gave the label."""
        return self.by or self.client

    @property
    def judges(self) -> bool:
        """Return whether a verdict may rest on its label."""
        return may_judge(self.selection)

    @property
    def text(self) -> str:
        """All messages as one text."""
        return "\n".join(message.content for message in self.messages)

    @property
    def key(self) -> str:
        """Equal for rows that ask the same, whatever their answer."""
        return normalise(self.text)

    @property
    def label(self) -> str:
        """The answer as it is compared."""
        return normalise(self.completion)

    @property
    def tools(self) -> list[dict[str, Any]]:
        """Return the tools that the answer could call, as chat templates take them."""
        given = self.request.get("tools") or [{"function": each} for each in self.request.get("functions") or ()]
        known = [chat_tool(each) for each in given if isinstance(each, dict)]
        return [{"type": "function", **each} for each in known if "function" in each]

    def prompt(self) -> list[dict[str, Any]]:
        """Return the messages as chat templates take them; a raw prompt keeps its role, by which it is known."""
        found = [chat_message(each, _arguments) for each in self.messages]
        if self.raw:
            return found
        return [{**each, "role": "user" if each["role"] == "text" else each["role"]} for each in found]

    def asked(self) -> list[dict[str, Any]]:
        """Return the messages as OpenAI's interface has them: arguments of calls are JSON text there."""
        return [chat_message(each) for each in self.messages]

    def answered(self, text: str, choices: list[dict[str, Json]] | None = None) -> AnsweredRow:
        """Return an answer to this row's request as it is scored; `choices`: all of it, where there is more than a
        text."""
        request = {**self.request, "messages": self.asked()}
        return AnsweredRow(request, text, choices or [chat_choice(text, [], "")], self.completion or None)

    def lesson(self) -> Lesson:
        """Return messages, answer and tools as a training takes them."""
        return Lesson(self.prompt(), self.completion, self.tools)


class Lesson(NamedTuple):
    """What a model is to answer to what."""

    messages: Sequence[Mapping[str, Any]]
    answer: str
    tools: Sequence[Mapping[str, Any]] = ()


def chat_tool(given: dict[str, Any]) -> dict[str, Any]:
    """Return a tool as a chat has it: a response's stands without the `function` around it.

    >>> chat_tool({"type": "function", "name": "block"})
    {'type': 'function', 'function': {'name': 'block'}}
    """
    if given.get("type") == "function" and "function" not in given:
        return {"type": "function", "function": {name: value for name, value in given.items() if name != "type"}}
    return given


def _arguments(text: str) -> Any:
    """Templates write arguments as JSON; what is no JSON they get as the text that it is."""
    try:
        return msgspec.json.decode(text or "{}")
    except UNREADABLE:
        return text


def in_chance_order(rows: Iterable[Example], salt: str) -> list[Example]:
    """Return the rows in an order that depends on their ids and the salt only: one row more or less moves no other."""
    return sorted(rows, key=lambda row: hashlib.sha256(f"{salt}\0{row.id}".encode()).digest())
