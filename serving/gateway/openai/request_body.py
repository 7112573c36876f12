"""Clients' requests as JSON: some fields are read here, and some are added on the way to an engine.

All others pass byte for byte: they are the engine's business."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from monitor.canonical import UNREADABLE
from serving.gateway.errors import ApiError, missing, wrong
from serving.gateway.openai.coercion import is_off
from serving.gateway.openai.messages import messages, prompt_text
from streams.messages import Message

Fields = dict[str, msgspec.Raw]
_fields = msgspec.json.Decoder(Fields)
LARGE_BYTES = 65_536
DECIDING = frozenset(
    {
        *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "suffix", "echo"),
        *("response_format", "text", "structured_outputs", "guided_json", "guided_regex", "guided_choice"),
        *("guided_grammar", "temperature", "top_p", "top_k", "min_p", "seed", "stop", "stop_token_ids", "bad_words"),
        *(
            "presence_penalty",
            "frequency_penalty",
            "repetition_penalty",
            "length_penalty",
            "logit_bias",
            "n",
            "best_of",
        ),
        *("max_tokens", "max_completion_tokens", "max_output_tokens", "min_tokens", "ignore_eos", "use_beam_search"),
        *("reasoning", "reasoning_effort", "include_reasoning", "verbosity", "chat_template", "chat_template_kwargs"),
        *("add_generation_prompt", "continue_final_message", "documents", "previous_response_id", "dimensions"),
    }
)
TRUE, FALSE, ZERO = msgspec.Raw(b"true"), msgspec.Raw(b"false"), msgspec.Raw(b"0")


class Operation(StrEnum):
    """The part of OpenAI's interface that a request uses; the value is its name in events."""

    CHAT = "chat"
    COMPLETION = "completion"
    RESPONSE = "response"
    EMBEDDING = "embedding"


PATHS = {
    Operation.CHAT: "/v1/chat/completions",
    Operation.COMPLETION: "/v1/completions",
    Operation.RESPONSE: "/v1/responses",
    Operation.EMBEDDING: "/v1/embeddings",
}


class KnownFields(msgspec.Struct):
    """The fields that matter here, of any operation; None where they are missing or null."""

    model: Any = None
    user: Any = None
    safety_identifier: Any = None
    stream: Any = None
    stream_options: Any = None
    logprobs: Any = None
    messages: Any = None
    prompt: Any = None
    input: Any = None
    instructions: Any = None
    echo: Any = None
    prompt_logprobs: Any = None
    top_logprobs: Any = None
    logprob_token_ids: Any = None
    n: Any = None
    best_of: Any = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    min_tokens: Any = None
    include_reasoning: Any = None


_known = msgspec.json.Decoder(KnownFields)


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request's body and the fields that were read."""

    fields: Fields
    known: KnownFields
    options: Fields  # of a stream
    operation: Operation
    alias: str
    user: str
    streamed: bool
    wants_logprobs: bool
    wants_usage: bool  # of a stream, in a chunk of its own

    @property
    def strips(self) -> bool:
        """Return whether the engine is asked for log-probabilities that the client did not ask for. With `echo` they
        would be the prompt's too, which cost an engine far more, and some their life (see `asks_of_prompt`). Where the
        client asks for some that need others, the engine's refusal is the answer."""
        if self.wants_logprobs or self.operation not in (Operation.CHAT, Operation.COMPLETION):
            return False
        known = self.known
        echoed = self.operation is Operation.COMPLETION and not is_off(known.echo)
        return not echoed and is_off(known.top_logprobs) and not known.logprob_token_ids

    @property
    def asks_of_prompt(self) -> str:
        """Return the field by which the prompt's own log-probabilities are asked for; empty where they are not. vLLM
        0.32 on a CPU ends when it computes them for an adapter while it answers other requests. It takes a chat's
        `echo` for such a wish in any case, a completion's with any `logprobs`, false too."""
        if self.known.prompt_logprobs is not None:
            return "prompt_logprobs"
        echoes = self.operation is Operation.CHAT or (self.operation is Operation.COMPLETION and self.wants_logprobs)
        return "echo" if echoes and not is_off(self.known.echo) else ""

    def forwarded(self, version: str) -> bytes:
        """Return the body for the engine: the version's name, and log-probabilities and usage asked for."""
        body: dict[str, Any] = {**self.fields, "model": version}
        if self.strips:
            body["logprobs"] = TRUE if self.operation is Operation.CHAT else ZERO
        if self.streamed and not self.wants_usage and self.operation in (Operation.CHAT, Operation.COMPLETION):
            body["stream_options"] = {**self.options, "include_usage": TRUE, "continuous_usage_stats": FALSE}
        return msgspec.json.encode(body)

    def messages(self) -> list[Message]:
        """Return the question; parts that are no text are named by their type, size and digest."""
        known = self.known
        if self.operation is Operation.CHAT:
            return messages(known.messages)
        if self.operation is Operation.RESPONSE:
            first = [Message("system", known.instructions)] if isinstance(known.instructions, str) else []
            given = known.input
            return [*first, *(messages(given) if isinstance(given, list) else [Message("user", given)])]
        return [Message("text", prompt_text(each)) for each in self._prompts()]

    @property
    def prompts(self) -> int:
        """Return how many prompts are completed or embedded."""
        return 1 if self.operation in (Operation.CHAT, Operation.RESPONSE) else len(self._prompts())

    def deciding(self) -> dict[str, msgspec.Raw]:
        """Return the fields besides the question that decide the answer."""
        return {
            name: self.fields[name] for name in DECIDING & self.fields.keys() if bytes(self.fields[name]) != b"null"
        }

    def _prompts(self) -> list[Any]:
        """Return the prompts, each a text or a list of tokens; a list of tokens alone is one."""
        given = self.known.prompt if self.operation is Operation.COMPLETION else self.known.input
        return given if isinstance(given, list) and given and not isinstance(given[0], int | float) else [given]


def parse(data: bytes, operation: Operation) -> ParsedRequest:
    """Read a request's body. Raise ApiError naming the field that is wrong."""
    try:
        fields, known = _read(data)
        options = _fields.decode(fields["stream_options"]) if isinstance(known.stream_options, dict) else {}
    except msgspec.ValidationError as error:
        raise ApiError(400, _unusable(data, error)) from error
    except UNREADABLE as error:
        raise ApiError(400, f"the body is not JSON: {_reason(error)}") from error
    _check(known, operation)
    return ParsedRequest(
        fields=fields,
        known=known,
        options=options,
        operation=operation,
        alias=known.model,
        user=known.user or known.safety_identifier or "",
        streamed=bool(known.stream),
        wants_logprobs=_wants_logprobs(known.logprobs, operation),
        wants_usage=not is_off((known.stream_options or {}).get("include_usage")),
    )


def _read(data: bytes) -> tuple[Fields, KnownFields]:
    """Decode a body, a large one without the collector: it would look through all objects again and again while they
    grow."""
    if len(data) < LARGE_BYTES or not gc.isenabled():
        return _fields.decode(data), _known.decode(data)
    gc.disable()
    try:
        return _fields.decode(data), _known.decode(data)
    finally:
        gc.enable()


def _check(known: KnownFields, operation: Operation) -> None:
    if not isinstance(known.model, str) or not known.model:
        raise missing("model", "an alias") if known.model is None else wrong("model", known.model, "an alias")
    if known.stream is not None and not isinstance(known.stream, bool):
        raise wrong("stream", known.stream, "true or false")
    for name, named in (("user", known.user), ("safety_identifier", known.safety_identifier)):
        if named is not None and not isinstance(named, str):
            raise wrong(name, named, "text")
    if known.stream_options is not None and not isinstance(known.stream_options, dict):
        raise wrong("stream_options", known.stream_options, "an object")
    _QUESTIONS[operation](known)


def _check_chat(known: KnownFields) -> None:
    if known.messages is None:
        raise missing("messages", "a list of messages")
    if not isinstance(known.messages, list) or not known.messages:
        raise wrong("messages", known.messages, "a list of at least one message")
    for i, message in enumerate(known.messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise wrong(f"messages[{i}]", message, "an object with role and content")


def _check_completion(known: KnownFields) -> None:
    if known.prompt is None:
        raise missing("prompt", "text")
    if not isinstance(known.prompt, str | list):
        raise wrong("prompt", known.prompt, "text, or a list of texts or tokens")


def _check_input(known: KnownFields) -> None:
    if known.input is None:
        raise missing("input", "text or a list")
    if not isinstance(known.input, str | list):
        raise wrong("input", known.input, "text or a list")


_QUESTIONS = {
    Operation.CHAT: _check_chat,
    Operation.COMPLETION: _check_completion,
    Operation.RESPONSE: _check_input,
    Operation.EMBEDDING: _check_input,
}


def _wants_logprobs(given: object, operation: Operation) -> bool:
    return given is not None and not (operation is Operation.CHAT and is_off(given))


def _unusable(data: bytes, error: Exception) -> str:
    try:
        return f"the body is {type(msgspec.json.decode(data)).__name__}, expected a JSON object"
    except UNREADABLE:
        return f"the body cannot be read: {error}"


def _reason(error: Exception) -> str:
    return "too deeply nested" if isinstance(error, RecursionError) else str(error)
