"""A row's question as the engine is asked it again: the request that was served, made deterministic. Pure.

What the client sent goes along as it was: messages, tools, format, stop sequences, penalties, a raw prompt without a
chat template. Only what draws an answer by chance is taken away (temperature, top-p, seeds, several answers), and what
changes its form alone (streams, log-probabilities)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from retrain.data.example import Example, chat_tool

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
CONSTRAINTS = ("structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar")
ENDINGS = ("stop", "stop_token_ids", "bad_words", "min_tokens", "ignore_eos")
WEIGHTS = ("presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias")
SHAPING = (  # fields of a request by which an engine shapes its answer
    *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format"),
    *("reasoning_effort", "include_reasoning", "verbosity"),
    *(*CONSTRAINTS, *ENDINGS, *WEIGHTS),
)
RAW = ("response_format", *CONSTRAINTS, *ENDINGS, *WEIGHTS)  # those of them that a raw completion has
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")  # of an answer's tokens, a client's own


class ReplayedQuestion(NamedTuple):
    """A question to an engine: the path and the body."""

    path: str
    body: dict[str, Any]
    clients_limit: bool  # the answer's limit is the client's own: one that ends there ended as clients get it


def replay(row: Example, model: str, limit: int) -> ReplayedQuestion:
    """Return the row's question to a model, whose answer has `limit` tokens at most, or as many as its client allowed.

    >>> from streams.messages import Message
    >>> given = {"temperature": 1.5, "stop": ["\\n"], "max_tokens": 4}
    >>> row = Example(id="1", messages=[Message("text", "The sky is")], completion="", source="", request=given)
    >>> replay(row, "m", 9).path, sorted(replay(row, "m", 9).body.items())[:3]
    ('/v1/completions', [('max_tokens', 4), ('model', 'm'), ('prompt', 'The sky is')])
    """
    own = min((given for name in LIMITS if type(given := row.request.get(name)) is int and given > 0), default=limit)
    body = {"model": model, "temperature": 0, "max_tokens": min(own, limit)}
    if row.raw:
        kept = {name: row.request[name] for name in RAW if row.request.get(name) is not None}
        return ReplayedQuestion(COMPLETIONS, {**kept, **body, "prompt": row.text}, own < limit)
    given = _as_chat(row.request)
    kept = {name: given[name] for name in SHAPING if given.get(name) is not None}
    return ReplayedQuestion(CHAT, {**kept, **body, "messages": row.asked()}, own < limit)


def _as_chat(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a response as a chat has them: its tools, its format, its reasoning."""
    found = dict(request)
    if isinstance(tools := request.get("tools"), list):
        found["tools"] = [chat_tool(each) if isinstance(each, dict) else each for each in tools]
    choice = request.get("tool_choice")
    if isinstance(choice, dict) and "name" in choice:
        found["tool_choice"] = chat_tool(choice)
    text, reasoning = request.get("text"), request.get("reasoning")
    form = text.get("format") if isinstance(text, dict) else None
    if isinstance(form, dict) and form.get("type") == "json_schema" and "json_schema" not in form:
        schema = {name: value for name, value in form.items() if name != "type"}
        found["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif isinstance(form, dict):
        found["response_format"] = form
    if isinstance(reasoning, dict) and reasoning.get("effort"):
        found["reasoning_effort"] = reasoning["effort"]
    return found
