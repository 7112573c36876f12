"""What a span says of a request and of a call to an engine; pure. Names: OpenTelemetry's conventions for generative
models and for HTTP; `homeostat.*` are our own."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from serving.gateway.exchange import Exchange
from serving.gateway.openai.request_body import Operation
from serving.routes.routing import Choice
from streams.telemetry.spans import ERROR, Value

PROVIDER = "vllm"
OPERATIONS = {  # the conventions' names
    Operation.CHAT: "chat",
    Operation.COMPLETION: "text_completion",
    Operation.RESPONSE: "chat",
    Operation.EMBEDDING: "embeddings",
}
HUNG_UP = 499
LONGEST = 256  # characters of a value that a client chose


def inference(exchange: Exchange) -> tuple[str, dict[str, Value]]:
    """Return the name of an inference request's span and its attributes, once the exchange is over."""
    asked, answer, choice = exchange.asked, exchange.answer, exchange.choice
    operation = OPERATIONS[asked.operation]
    found: dict[str, Value] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": asked.alias,
        "gen_ai.request.stream": asked.streamed,
        "homeostat.alias": asked.alias,
        "homeostat.event_id": exchange.event_id,
    }
    known = asked.known
    limits = (known.max_completion_tokens, known.max_tokens, known.max_output_tokens)
    for name, values in (("max_tokens", limits), ("choice.count", (known.n,))):
        if number := next((each for each in values if type(each) is int), 0):
            found[f"gen_ai.request.{name}"] = number
    if exchange.conversation:
        found["gen_ai.conversation.id"] = exchange.conversation
    if choice is not None:
        found |= {"gen_ai.response.model": choice.version, **_chosen(choice)}
    if exchange.status == 200:
        found["gen_ai.usage.input_tokens"] = answer.input_tokens
        found["gen_ai.usage.output_tokens"] = answer.output_tokens
        if ends := [each.finish_reason for each in answer.all if each.finish_reason]:
            found["gen_ai.response.finish_reasons"] = ends
    if exchange.status >= HUNG_UP:
        found[ERROR] = str(exchange.status)  # of a stream that broke, too, whose client has its 200
    if exchange.first_s is not None:
        found["gen_ai.response.time_to_first_chunk"] = exchange.first_s - exchange.began_s
    return f"{operation} {asked.alias}", found


def call(choice: Choice, path: str) -> dict[str, Value]:
    """Return the attributes of one try with a replica, as it begins."""
    address, port = _address(choice.url)
    return {
        "http.request.method": "POST",
        "url.path": path,
        "server.address": address,
        "server.port": port,
        **_chosen(choice),
    }


def _chosen(choice: Choice) -> dict[str, Value]:
    found: dict[str, Value] = {"homeostat.version": choice.version, "homeostat.arm": choice.arm.value}
    if choice.replica:
        found["homeostat.replica"] = choice.replica
    return found


@lru_cache(maxsize=1_024)
def _address(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "", 0
