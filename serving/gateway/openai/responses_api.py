"""OpenAI's Responses interface, as far as it is understood: an answer's text, its end and its tokens."""

from __future__ import annotations

import msgspec

from serving.gateway.errors import UNREADABLE
from serving.gateway.openai.answer import CollectedAnswer
from serving.gateway.openai.sse import payload

ENDS = ("response.completed", "response.incomplete", "response.failed")
GIVEN_UP = ("failed", "cancelled")
PLAIN = ("message", "reasoning")  # items without a call
DONE = b"[DONE]"  # which some engines send at a stream's end
TEXT = "response.output_text.delta"
PIECE = ".delta"  # how the names of events end that bring a piece of an answer


class OutputPart(msgspec.Struct):
    """A part of a message."""

    text: str | None = None


class OutputItem(msgspec.Struct):
    """A message, or something else that the model put out."""

    type: str = ""
    content: list[OutputPart] | None = None

    @property
    def beyond(self) -> bool:
        """Return whether it is more than text: a call, or a message with a refusal or another part."""
        parts = self.content or () if self.type == "message" else ()
        return self.type not in PLAIN or any(part.text is None for part in parts)


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


_response = msgspec.json.Decoder(Response)
_stream_event = msgspec.json.Decoder(StreamEvent)


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
        answer.parts.append(msgspec.json.decode(event.delta, type=str))
    elif event.type in ENDS:
        answer.complete = True
        answer.failed = event.type == "response.failed"
        if event.response is not None:
            _take(answer, event.response)


def _count(answer: CollectedAnswer, event: StreamEvent) -> None:
    """Count a piece, be it text, reasoning or a call's; a call begins with its name."""
    called = event.item is not None and event.item.type not in PLAIN
    answer.beyond |= called
    answer.thinks |= event.type.endswith(PIECE) and event.type != TEXT
    answer.pieces += called or (event.type.endswith(PIECE) and bytes(event.delta) not in (b"null", b'""'))


def _take(answer: CollectedAnswer, response: Response) -> None:
    answer.choices, answer.finish_reason = 1, response.status or ""
    answer.thinks |= any(item.type == "reasoning" for item in response.output)
    messages = [item for item in response.output if item.type == "message"]
    answer.beyond |= response.status in GIVEN_UP or len(messages) > 1 or any(item.beyond for item in response.output)
    if not answer.parts:  # not streamed, or not piece by piece
        answer.parts += [part.text for item in messages for part in item.content or () if part.text]
    if response.usage is not None:
        answer.input_tokens = max(response.usage.input_tokens or 0, 0)
        answer.output_tokens = max(response.usage.output_tokens or 0, 0)
