"""Engines' answers as JSON: one part is kept, and a part that only the gateway asked for is taken away.

Everything else passes byte for byte, an answer of another shape than expected too; it is then merely not
understood."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from monitor.canonical import UNREADABLE
from serving.gateway.openai import responses_api
from serving.gateway.openai.answer import CollectedAnswer, CollectedChoice
from serving.gateway.openai.request_body import Fields, Operation, ParsedRequest
from serving.gateway.openai.sse import payload, with_payload

DONE = b"[DONE]"
NULL_TEXT = b"null"
NULL = msgspec.Raw(NULL_TEXT)
LEAST = -1_000.0  # log-probabilities; engines write -9999 and the like where they mean minus infinity
NO_TEXT = ("content_filter", "abort", "error")  # reasons to end that leave none, or half
EMPTY = (NULL_TEXT, b'""', b"[]", b"{}")


class Token(msgspec.Struct):
    """A token's log-probability, as chats have it."""

    logprob: float | None = None


class Logprobs(msgspec.Struct):
    """The log-probabilities of a chat, or of a completion."""

    content: list[Token] | None = None
    token_logprobs: list[float | None] | None = None


class CalledFunction(msgspec.Struct):
    """The function that is called, or a piece of that."""

    name: str | None = None
    arguments: str | dict[str, msgspec.Raw] | None = None


class CallPiece(msgspec.Struct):
    """A call of a tool, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: CalledFunction | None = None


class AnswerMessage(msgspec.Struct):
    """A chat's message or a piece of it. All but the text may have any shape."""

    content: str | None = None
    reasoning: msgspec.Raw = NULL
    reasoning_content: msgspec.Raw = NULL
    reasoning_details: msgspec.Raw = NULL
    thinking: msgspec.Raw = NULL
    thinking_blocks: msgspec.Raw = NULL
    tool_calls: msgspec.Raw = NULL
    function_call: msgspec.Raw = NULL
    refusal: msgspec.Raw = NULL
    audio: msgspec.Raw = NULL
    images: msgspec.Raw = NULL

    @property
    def thinks(self) -> bool:
        """Return whether there is reasoning in it."""
        raw = (self.reasoning, self.reasoning_content, self.reasoning_details, self.thinking, self.thinking_blocks)
        return any(map(_holds, raw))

    @property
    def beyond(self) -> bool:
        """Return whether there is more in it than text, reasoning and calls."""
        return any(map(_holds, (self.refusal, self.audio, self.images)))

    @property
    def calls(self) -> bool:
        """Return whether there is a call in it, or a piece of one."""
        return _holds(self.tool_calls) or _holds(self.function_call)


class AnswerChoice(msgspec.Struct):
    """One of the answers, or a piece of it."""

    index: int = 0
    text: str | None = None
    message: AnswerMessage | None = None
    delta: AnswerMessage | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class TokenUsage(msgspec.Struct):
    """The numbers of tokens that an answer took."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class AnswerBody(msgspec.Struct):
    """A reply, or a chunk of one."""

    choices: list[AnswerChoice] | None = None
    usage: TokenUsage | None = None
    error: msgspec.Raw = NULL  # `Raw | None` would take null and nothing else


_fields = msgspec.json.Decoder(Fields)
_choices = msgspec.json.Decoder(list[Fields])
_body = msgspec.json.Decoder(AnswerBody)
_calls = msgspec.json.Decoder(list[CallPiece])
_function = msgspec.json.Decoder(CalledFunction)


def whole(data: bytes, request: ParsedRequest) -> tuple[bytes, CollectedAnswer]:
    """Return the body for the client, and the answer in it. Raise one of UNREADABLE where it is no JSON object."""
    answer = CollectedAnswer()
    if request.operation is Operation.RESPONSE:
        responses_api.take_whole(answer, data)
        return data, answer
    body = _fields.decode(data)
    _take(answer, data)
    return (msgspec.json.encode(body) if request.strips and _strip(body) else data), answer


def event(data: bytes, request: ParsedRequest, answer: CollectedAnswer) -> list[bytes]:
    """Add one event of the engine's stream to the answer and return the events that the client gets now. `data`:
    without the blank line that ends it. One that is not understood passes unchanged."""
    if request.operation is Operation.RESPONSE:
        responses_api.take_event(answer, data)
        return [data]
    text = payload(data)
    if text.strip() == DONE:
        answer.complete = True
        return [*rest(answer), data]
    return _chunk(data, text, request, answer) if text else [*rest(answer), data]


def is_event(data: bytes) -> bool:
    """Return whether an event is whole, though no blank line ends it."""
    text = payload(data.strip(b"\n"))
    try:
        return text.strip() == DONE or bool(_fields.decode(text))
    except UNREADABLE:
        return False


def rest(answer: CollectedAnswer, fingerprint: msgspec.Raw | None = None) -> list[bytes]:
    """Return the closing chunks that waited, with the engine's fingerprint where it has one."""
    added = {} if fingerprint is None else {"system_fingerprint": fingerprint}
    held, answer.held = answer.held, []
    return [b"data: " + msgspec.json.encode({**body, **added}) for body in held]


def _chunk(data: bytes, text: bytes, request: ParsedRequest, answer: CollectedAnswer) -> list[bytes]:
    """Take a chunk and return the events for the client. An engine that is asked for usage names itself
    (`system_fingerprint`) in the usage's chunk, otherwise in the closing one of each choice: where only the gateway
    asked, the closing chunks wait for the usage's, which the engine sends with the last."""
    try:
        body = _fields.decode(text)
    except UNREADABLE:
        answer.beyond = True
        return [*rest(answer), data]
    choices = _take(answer, text)
    changed = request.strips and _strip(body)
    if not request.wants_usage:
        usage = body.get("usage")
        if usage is not None and choices == []:
            return rest(answer, body.get("system_fingerprint"))
        if usage is not None and bytes(usage) == NULL_TEXT:
            del body["usage"]
            changed = True
        if any(choice.finish_reason is not None for choice in choices or ()):
            answer.held.append(_owned(body))
            return []
    return [with_payload(data, msgspec.json.encode(body)) if changed else data]


def _take(answer: CollectedAnswer, data: bytes) -> list[AnswerChoice] | None:
    """Add a body's or a chunk's choices to the answer, how many there are, and whether one goes on. Return them, None
    where there are none to be understood."""
    try:
        body = _body.decode(data)
    except UNREADABLE:
        answer.beyond = True
        return None
    answer.failed |= body.error is not NULL and bytes(body.error) != NULL_TEXT
    if body.usage is not None:
        answer.input_tokens = max(body.usage.prompt_tokens or 0, 0)
        answer.output_tokens = max(body.usage.completion_tokens or 0, 0)
    for choice in body.choices or ():
        answer.choices = max(answer.choices, choice.index + 1, len(body.choices or ()))
        answer.pieces += _goes_on(choice)
        _take_choice(answer, choice)
    return body.choices


def _take_choice(answer: CollectedAnswer, choice: AnswerChoice) -> None:
    message, kept = choice.message or choice.delta, answer.choice(choice.index)
    text = choice.text if message is None else message.content
    if text:
        kept.parts.append(text)
    if message is not None:
        answer.thinks |= message.thinks
        answer.beyond |= message.beyond or (message.calls and not _take_calls(kept, message))
        if message.thinks:
            kept.reasoning += _readable(message)
    answer.beyond |= choice.finish_reason in NO_TEXT
    if choice.finish_reason is not None:
        kept.finish_reason = choice.finish_reason
    if choice.logprobs is not None and choice.index == 0:
        answer.logprobs += _values(choice.logprobs)


def _take_calls(kept: CollectedChoice, message: AnswerMessage) -> bool:
    """Add the calls; return whether they were understood."""
    try:
        pieces = _calls.decode(message.tool_calls) if _holds(message.tool_calls) else []
        if _holds(message.function_call):  # of an earlier interface, one at most
            pieces.append(CallPiece(index=0, function=_function.decode(message.function_call)))
    except UNREADABLE:
        return False
    for place, piece in enumerate(pieces):
        call = kept.call(place if piece.index is None else piece.index)
        call.id = piece.id or call.id
        if piece.function is not None:
            call.name = piece.function.name or call.name
            given = piece.function.arguments
            if given:
                call.pieces.append(given if isinstance(given, str) else msgspec.json.encode(given).decode())
    return True


def _readable(message: AnswerMessage) -> Iterator[str]:
    """Yield the reasoning that is a text: of the fields that engines give it in, the first."""
    for raw in (message.reasoning, message.reasoning_content, message.thinking):
        if _holds(raw):
            try:
                yield msgspec.json.decode(raw, type=str)
            except UNREADABLE:
                continue
            return


def _goes_on(choice: AnswerChoice) -> bool:
    """Return whether there is something of an answer in it, be it text or not."""
    message = choice.message or choice.delta
    if message is None:
        return bool(choice.text)
    return bool(message.content) or message.thinks or message.beyond or message.calls


def _holds(value: msgspec.Raw) -> bool:
    return value is not NULL and bytes(value) not in EMPTY


def _values(given: Logprobs) -> Iterator[float]:
    values = [token.logprob for token in given.content] if given.content else given.token_logprobs or ()
    return (min(value, 0.0) for value in values if value is not None and LEAST < value < math.inf)


def _strip(body: Fields) -> bool:
    try:
        choices = _choices.decode(body.get("choices", NULL))
    except UNREADABLE:
        return False
    having = [choice for choice in choices if "logprobs" in choice]
    for choice in having:
        choice["logprobs"] = NULL
    if having:
        body["choices"] = msgspec.Raw(msgspec.json.encode(choices))
    return bool(having)


def _owned(body: Fields) -> Fields:
    """Return fields that outlive the chunk they came in."""
    return {name: msgspec.Raw(bytes(value)) for name, value in body.items()}
