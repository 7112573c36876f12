"""OpenAI's Responses interface, as far as it is understood: an answer's text, its calls, its end and its tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from monitor.canonical import UNREADABLE
from serving.gateway.openai.answer import CollectedAnswer, CollectedCall
from serving.gateway.openai.sse import payload, with_payload

ENDS = ("response.completed", "response.incomplete", "response.failed")
GIVEN_UP = ("failed", "cancelled")
PLAIN = ("message", "reasoning")  # items without a call
CALL = "function_call"  # of a client's own tool; other calls the engine makes itself
DONE = b"[DONE]"  # which some engines send at a stream's end
PREVIOUS = "previous_response_id"
HELD = b'"response"'  # in each event that holds a response
TEXT = "response.output_text.delta"
PIECE = ".delta"  # how the names of events end that bring a piece of an answer


class OutputPart(msgspec.Struct):
    """A part of a message."""

    text: str | None = None


class OutputItem(msgspec.Struct):
    """A message, or something else that the model put out."""

    type: str = ""
    content: list[OutputPart] | None = None  # of a message; of reasoning, where the engine shows it
    summary: list[OutputPart] | None = None  # of reasoning
    name: str | None = None  # of a call, as the next two
    arguments: str | None = None
    call_id: str | None = None

    @property
    def beyond(self) -> bool:
        """Return whether it is more than text and calls: another kind of item, a refusal or another part."""
        parts = self.content or () if self.type == "message" else ()
        return self.type not in (*PLAIN, CALL) or any(part.text is None for part in parts)


class ResponseUsage(msgspec.Struct):
    """The numbers of tokens that a response took."""

    input_tokens: int | None = None
    output_tokens: int | None = None


class Response(msgspec.Struct):
    """A whole answer."""

    status: str | None = None
    output: list[OutputItem] = []
    usage: ResponseUsage | None = None


class StreamEvent(msgspec.Struct):
    """One event of a response's stream."""

    type: str = ""
    delta: msgspec.Raw = msgspec.Raw(b"null")
    item: OutputItem | None = None
    response: Response | None = None


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_response = msgspec.json.Decoder(Response)
_stream_event = msgspec.json.Decoder(StreamEvent)


@dataclass(frozen=True, slots=True)
class Rename:
    """What gives a response the id that its client gets. `id`: of the engine's id; `previous`: the id that the client
    gave for the response before, where the engine knows that by another."""

    id: Callable[[str], str]
    previous: msgspec.Raw | None = None

    def whole(self, data: bytes) -> bytes:
        """Return the response with the client's ids; one that is not understood passes unchanged."""
        try:
            fields = _fields.decode(data)
            own = msgspec.json.decode(fields["id"], type=str)
        except (*UNREADABLE, KeyError):
            return data
        if own:
            fields["id"] = msgspec.Raw(msgspec.json.encode(self.id(own)))
        if self.previous is not None and PREVIOUS in fields:
            fields[PREVIOUS] = self.previous
        return msgspec.json.encode(fields)

    def event(self, data: bytes) -> bytes:
        """Return an event of a stream likewise; few hold a response."""
        if HELD not in data:
            return data
        try:
            fields = _fields.decode(payload(data))
            fields["response"] = msgspec.Raw(self.whole(bytes(fields["response"])))
        except (*UNREADABLE, KeyError):
            return data
        return with_payload(data, msgspec.json.encode(fields))


def take_whole(answer: CollectedAnswer, data: bytes) -> None:
    """Take a whole response. Raise msgspec.DecodeError where it is no JSON object."""
    try:
        response = _response.decode(data)
    except msgspec.ValidationError:
        msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        return
    _take(answer, response)


def take_event(answer: CollectedAnswer, data: bytes) -> None:
    """Take one event of a stream. `data`: the event's lines."""
    if (text := payload(data)) and text.strip() != DONE:
        try:
            _take_event(answer, _stream_event.decode(text))
        except UNREADABLE:
            answer.beyond = True


def _take_event(answer: CollectedAnswer, event: StreamEvent) -> None:
    _count(answer, event)
    if event.type == TEXT:
        answer.first.parts.append(msgspec.json.decode(event.delta, type=str))
    elif event.type in ENDS:
        answer.complete = True
        answer.failed = event.type == "response.failed"
        if event.response is not None:
            _take(answer, event.response)


def _count(answer: CollectedAnswer, event: StreamEvent) -> None:
    """Count a piece, be it text, reasoning or a call's; a call begins with its name."""
    begun = "message" if event.item is None else event.item.type
    called = begun not in PLAIN
    answer.beyond |= called and begun != CALL
    answer.thinks |= event.type.endswith(PIECE) and event.type != TEXT
    answer.pieces += called or (event.type.endswith(PIECE) and bytes(event.delta) not in (b"null", b'""'))


def _take(answer: CollectedAnswer, response: Response) -> None:
    answer.choices, first = 1, answer.first
    first.finish_reason = response.status or ""
    answer.thinks |= any(item.type == "reasoning" for item in response.output)
    messages = [item for item in response.output if item.type == "message"]
    answer.beyond |= response.status in GIVEN_UP or len(messages) > 1 or any(item.beyond for item in response.output)
    if not first.parts:  # not streamed, or not piece by piece
        first.parts += [part.text for item in messages for part in item.content or () if part.text]
    for item in response.output:
        if item.type == "reasoning":
            first.reasoning += [part.text for part in item.content or item.summary or () if part.text]
        elif item.type == CALL:
            first.calls[len(first.calls)] = CollectedCall(item.name or "", item.call_id or "", [item.arguments or ""])
    if response.usage is not None:
        answer.input_tokens = max(response.usage.input_tokens or 0, 0)
        answer.output_tokens = max(response.usage.output_tokens or 0, 0)
