"""Objections: reasons why a row can be neither trained on nor judged on, by what the chat template makes of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from retrain.data.example import Example
from retrain.training.prompting import Messages, answer_ids, render

COMPLETIONS = "prompts of /v1/completions, which were served without a chat template"
NOTHING = "no messages"
TOOLS = "a tool's answer, whose call is not kept"
PARTS = "a picture, a sound or a file, which is not kept"
PART = re.compile(r"^\[(?:(?:image|audio|video)_url|input_(?:image|audio|video|file)|image|audio|video|file)\]$", re.M)


def usable(tokenizer: Any, rows: Iterable[Example], dropped: Counter[str]) -> list[Example]:
    """Return the rows without an objection; count the others in `dropped`, by objection."""
    kept = []
    for row in rows:
        why = objection(tokenizer, [{"role": m.role, "content": m.content} for m in row.messages], row.completion)
        if why:
            dropped[why] += 1
        else:
            kept.append(row)
    return kept


def objection(tokenizer: Any, messages: Messages, answer: str) -> str:
    """Return why messages and answer cannot be used; empty where they can."""
    if not messages:
        return NOTHING
    roles = sorted({message["role"] for message in messages})
    if "text" in roles:
        return COMPLETIONS
    if {"tool", "function", ""} & set(roles):  # without a role: a call or its output, as /v1/responses has them
        return TOOLS
    if any(PART.search(message["content"]) for message in messages):
        return PARTS
    try:
        answer_ids(tokenizer, messages, answer)
        silent = _silent(tokenizer, messages)
    except Exception:  # a template is a program that came with the model: it may raise anything
        return f"the chat template refuses the roles {', '.join(roles)} in their order"
    return f"the chat template leaves out what the role {silent[0]!r} says" if silent else ""


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
