"""What clients ask and engines answer, as JSON: what is added on the way there, and taken away on the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from serving.errors import ApiError, missing, wrong
from streams.events import Message

Body = dict[str, Any]
CHAT, COMPLETION = "chat", "completion"
DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's body and what was understood of it. Everything else in it is the engine's business."""

    body: Body
    operation: str  # CHAT or COMPLETION
    alias: str
    user: str
    streamed: bool
    wants_logprobs: bool
    wants_usage: bool  # of a stream, in a chunk of its own

    def forwarded(self, version: str) -> bytes:
        """The body for the engine: the version's name, and log-probabilities and usage asked for."""
        body = {**self.body, "model": version}
        if not self.wants_logprobs:
            body["logprobs"] = True if self.operation == CHAT else 0
        if self.streamed and not self.wants_usage:
            options = self.body.get("stream_options") or {}
            body["stream_options"] = {**options, "include_usage": True, "continuous_usage_stats": False}
        return msgspec.json.encode(body)

    def messages(self) -> list[Message]:
        """What was asked, as text; parts that are no text are named by their type."""
        if self.operation == COMPLETION:
            prompt = self.body.get("prompt")
            texts = [prompt] if isinstance(prompt, str) else prompt if isinstance(prompt, list) else []
            return [Message("text", text if isinstance(text, str) else "[tokens]") for text in texts]
        return [Message(str(m.get("role", "")), _text(m.get("content"))) for m in self.body["messages"]]


@dataclass(slots=True)
class Answered:
    """What is kept of an answer; a stream's grows with its chunks."""

    parts: list[str] = field(default_factory=list)
    choices: int = 0
    finish_reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    logprobs: list[float] = field(default_factory=list)
    failed: bool = False  # the engine said so in the midst of a stream
    held: list[Body] = field(default_factory=list)  # a stream's closing chunks, until its usage is known

    @property
    def text(self) -> str:
        """The first choice's text."""
        return "".join(self.parts)


def asked(data: bytes, operation: str) -> Asked:
    """Raises ApiError naming the field that is wrong."""
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ApiError(400, f"the body is {type(body).__name__}, expected a JSON object")
    alias, user, stream = body.get("model"), body.get("user"), body.get("stream")
    if not isinstance(alias, str) or not alias:
        raise missing("model", "an alias") if alias is None else wrong("model", alias, "an alias")
    if stream is not None and not isinstance(stream, bool):
        raise wrong("stream", stream, "true or false")
    if user is not None and not isinstance(user, str):
        raise wrong("user", user, "text")
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise wrong("stream_options", options, "an object")
    _check_question(body, operation)
    given = body.get("logprobs")
    return Asked(
        body=body,
        operation=operation,
        alias=alias,
        user=user or "",
        streamed=bool(stream),
        wants_logprobs=bool(given) if operation == CHAT else given is not None and given is not False,
        wants_usage=bool((options or {}).get("include_usage")),
    )


def whole(data: bytes, request: Asked) -> tuple[bytes, Answered]:
    """The body for the client, and what it says. Raises msgspec.DecodeError where it is no JSON object."""
    body = msgspec.json.decode(data, type=Body)
    answer = Answered()
    _take(answer, body)
    if not request.wants_logprobs:
        _strip(body)
        data = msgspec.json.encode(body)
    return data, answer


def chunk(data: bytes, request: Asked, answer: Answered) -> list[bytes]:
    """The chunks of a stream that the client gets now that the engine sent one more; `answer` takes what it says.

    `data`: what follows `data: `, and is not `[DONE]`. What is no JSON object passes unchanged. An engine that is
    asked for usage names itself (`system_fingerprint`) in the usage's chunk, otherwise in the closing one of each
    choice: where only we asked, the closing chunks wait for the usage's, which the engine sends with the last."""
    try:
        body = msgspec.json.decode(data, type=Body)
    except msgspec.DecodeError:
        return [*rest(answer), data]
    _take(answer, body)
    changed = not request.wants_logprobs
    if changed:
        _strip(body)
    if not request.wants_usage:
        if "usage" in body and not body.get("choices"):
            return rest(answer, body.get("system_fingerprint"))
        if body.get("usage", "") is None:
            del body["usage"]
            changed = True
        if any(choice.get("finish_reason") is not None for choice in _list(body.get("choices"))):
            answer.held.append(body)
            return []
    return [msgspec.json.encode(body) if changed else data]


def rest(answer: Answered, fingerprint: object = None) -> list[bytes]:
    """The closing chunks that waited, with the engine's fingerprint where it has one."""
    told = {} if fingerprint is None else {"system_fingerprint": fingerprint}
    held, answer.held = answer.held, []
    return [msgspec.json.encode({**body, **told}) for body in held]


def _check_question(body: Body, operation: str) -> None:
    if operation == COMPLETION:
        if "prompt" not in body:
            raise missing("prompt", "text")
        return
    messages = body.get("messages")
    if messages is None:
        raise missing("messages", "a list of messages")
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", messages, "a list of at least one message")
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise wrong(f"messages[{i}]", message, "an object with role and content")


def _take(answer: Answered, body: Body) -> None:
    """Adds what a body or a chunk says of the first choice, and of all: how many there are."""
    answer.failed |= "error" in body
    for choice in _list(body.get("choices")):
        index = choice.get("index", 0)
        answer.choices = max(answer.choices, index + 1 if isinstance(index, int) else 1)
        if index == 0:
            _take_choice(answer, choice)
    usage = body.get("usage")
    if isinstance(usage, dict):
        answer.input_tokens = _count(usage.get("prompt_tokens"))
        answer.output_tokens = _count(usage.get("completion_tokens"))


def _take_choice(answer: Answered, choice: Mapping[str, Any]) -> None:
    told = choice.get("message") or choice.get("delta") or {}
    text = choice.get("text") if "text" in choice else told.get("content")
    if isinstance(text, str) and text:
        answer.parts.append(text)
    if isinstance(choice.get("finish_reason"), str):
        answer.finish_reason = choice["finish_reason"]
    answer.logprobs += _logprobs(choice.get("logprobs"))


def _logprobs(told: object) -> list[float]:
    if not isinstance(told, dict):
        return []
    if "token_logprobs" in told:
        values: Sequence[Any] = told["token_logprobs"] or []
    else:
        values = [token.get("logprob") for token in _list(told.get("content"))]
    return [float(value) for value in values if isinstance(value, int | float)]


def _strip(body: Body) -> None:
    for choice in _list(body.get("choices")):
        if "logprobs" in choice:
            choice["logprobs"] = None


def _list(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _count(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _text(content: object) -> str:
    """A message's content: text, or the texts of its parts."""
    if isinstance(content, str):
        return content
    return "\n".join(str(p["text"]) if "text" in p else f"[{p.get('type', 'part')}]" for p in _list(content))
