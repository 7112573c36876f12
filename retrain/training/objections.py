"""Objections: reasons why a row can be neither trained on nor judged on, by what the chat template makes of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from retrain.data.example import Example
from retrain.training.prompting import Messages, Tools, answer_ids, raw, render

COMPLETIONS = "several prompts of /v1/completions in one request"
TOKENS = "a prompt given as tokens, whose text is not known"
NOTHING = "no messages"
TOOLS = "a tool's answer, whose call is not kept"
OWN = "a template, its options, documents or an earlier response of the request's own"
GIVEN = (  # fields that change the prompt
    *("documents", "chat_template", "chat_template_kwargs", "continue_final_message", "previous_response_id"),
    *("suffix", "echo"),
)
TOKEN_COUNT = re.compile(r"\[(\d+ )?tokens\]")  # what events have for such a prompt
PARTS = "a picture, a sound or a file, which is not kept"
PART = re.compile(
    r"^\[(?:(?:image|audio|video)_url|input_(?:image|audio|video|file)|image|audio|video|file)(?: [^\]\n]*)?\]$", re.M
)


def usable(tokenizer: Any, rows: Iterable[Example], dropped: Counter[str]) -> list[Example]:
    """Return the rows without an objection; count the others in `dropped`, by objection."""
    kept = []
    for row in rows:
        own = any(row.request.get(name) for name in GIVEN)
        messages = [{**each, "role": m.role} for m, each in zip(row.messages, row.prompt(), strict=True)]
        why = OWN if own else objection(tokenizer, messages, row.completion, row.tools)
        if why:
            dropped[why] += 1
        else:
            kept.append(row)
    return kept


def objection(tokenizer: Any, messages: Messages, answer: str, tools: Tools = ()) -> str:
    """Return why messages and answer cannot be used; empty where they can."""
    if not messages:
        return NOTHING
    if raw(messages):
        prompt = messages[0]["content"]
        return TOKENS if TOKEN_COUNT.fullmatch(prompt) else "" if prompt else NOTHING
    roles = sorted({message["role"] for message in messages})
    if "text" in roles:
        return COMPLETIONS
    if {"function", ""} & set(roles) or any(
        each["role"] == "tool" and not _called(each, messages) for each in messages
    ):
        return TOOLS  # without a role: a call or its output, as events of version 1 have them
    if any(PART.search(message["content"]) for message in messages):
        return PARTS
    try:
        answer_ids(tokenizer, messages, answer, tools)
        silent = _silent(tokenizer, messages)
    except ValueError as error:
        return str(error)
    except Exception:  # a template is a program that came with the model: it may raise anything
        return f"the chat template refuses the roles {', '.join(roles)} in their order"
    return f"the chat template leaves out what the role {silent[0]!r} says" if silent else ""


def _called(answer: Mapping[str, Any], messages: Messages) -> bool:
    """Return whether a tool's answer has its call among the messages."""
    known = {call["id"] for each in messages for call in each.get("tool_calls", ())}
    return answer.get("tool_call_id", "") in known


def _silent(tokenizer: Any, messages: Messages) -> list[str]:
    """Return the roles whose content does not reach the prompt. An assistant's earlier answers may be shortened."""
    marks = [f"homeostat-{i:04d}-was-here" for i in range(len(messages))]
    marked = [
        each if each["role"] == "assistant" else {**each, "content": mark}
        for each, mark in zip(messages, marks, strict=True)
    ]
    prompt = render(tokenizer, marked)
    return [
        each["role"]
        for each, mark in zip(messages, marks, strict=True)
        if each["role"] != "assistant" and mark not in prompt
    ]
