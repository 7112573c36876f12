"""The guard against requests that end an engine, by the engine's own reading: vLLM's own request classes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from serving.gateway.openai.coercion import is_off, whole_number
from serving.gateway.openai.request_body import Operation, ParsedRequest, parse

pytestmark = [pytest.mark.slow, pytest.mark.vllm]

CHAT = {"model": "support", "messages": [{"role": "user", "content": "x"}]}
COMPLETION = {"model": "support", "prompt": ["x", "y"]}
SWITCHES: list[Any] = [
    None,
    True,
    False,
    1,
    0,
    1.0,
    0.0,
    2,
    -1,
    "true",
    "TRUE",
    "1",
    "yes",
    "oN",
    "t",
    "off",
    "0",
    "no",
    "",
    " true",
]
SWITCHES += ["maybe", [], {}, [True]]
NUMBERS: list[Any] = [None, True, False, 0, 1, -1, 0.0, 1.0, 0.5, 5, "0", "1", " 1 ", "1.0", "1_0", "x", "", [], {}]


def read_by_engine(operation: Operation, body: bytes) -> Any:
    """What the engine makes of it; None where it refuses."""
    from pydantic import ValidationError
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest
    from vllm.exceptions import VLLMValidationError

    model = ChatCompletionRequest if operation is Operation.CHAT else CompletionRequest
    try:
        return model.model_validate(json.loads(body)).to_sampling_params(16, {})
    except (ValidationError, VLLMValidationError, ValueError):
        return None


def bodies(operation: Operation) -> Iterator[dict[str, Any]]:
    base = CHAT if operation is Operation.CHAT else COMPLETION
    for echo, logprobs, top in itertools.product(SWITCHES, NUMBERS, [None, 2, True]):
        yield {**base, "echo": echo, "logprobs": logprobs, "top_logprobs": top}
    for prompt_logprobs, stream in itertools.product(NUMBERS, [False, True]):
        yield {**base, "prompt_logprobs": prompt_logprobs, "stream": stream}
    for nested in ("extra_body", "vllm_xargs", "kv_transfer_params", "chat_template_kwargs", "stream_options"):
        yield {**base, "stream": True, nested: {"prompt_logprobs": 0, "echo": True, "logprobs": 0}}
    for name in ("Echo", "ECHO", "promptLogprobs", "prompt-logprobs", "Prompt_Logprobs", "echo "):
        yield {**base, name: True, "logprobs": 0}


def understood(operation: Operation, body: dict[str, Any]) -> ParsedRequest:
    return parse(json.dumps(body).encode(), operation)


@pytest.mark.parametrize("operation", [Operation.CHAT, Operation.COMPLETION])
def test_nothing_that_is_let_pass_asks_an_engine_for_the_prompts_log_probabilities(operation: Operation) -> None:
    passed = refused = 0
    for body in bodies(operation):
        request = understood(operation, body)
        if request.asks_of_prompt:
            refused += 1
            continue
        passed += 1
        params = read_by_engine(operation, request.forwarded("support-abc"))
        assert params is None or params.prompt_logprobs is None, body
    assert min(passed, refused) > 100


@pytest.mark.parametrize("operation", [Operation.CHAT, Operation.COMPLETION])
def test_what_the_engine_refuses_is_not_mended_on_its_way(operation: Operation) -> None:
    for body in bodies(operation):
        request = understood(operation, body)
        if not request.asks_of_prompt and read_by_engine(operation, json.dumps(body).encode()) is None:
            assert read_by_engine(operation, request.forwarded("support-abc")) is None, body


def test_a_value_is_read_as_the_engine_reads_it() -> None:
    from pydantic import TypeAdapter, ValidationError

    def read(adapter: TypeAdapter[Any], value: object) -> object:
        try:
            return adapter.validate_python(value)
        except ValidationError:
            return None

    switch, number = TypeAdapter(bool), TypeAdapter(int)
    for value in SWITCHES[1:]:
        assert is_off(value) == (read(switch, value) is False), value
    odd: list[Any] = [1e18, "00", "+7", "-7", "\n7\n", "7.", "7.0", "7.5", "1e3", "0x1", "1_000.0", "9" * 400]
    for value in [*NUMBERS, *odd]:
        assert read(number, value) in (None, whole_number(value)), value
