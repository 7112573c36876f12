"""One way to turn messages into a prompt: the chat template, in training and in the engine alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monitor.canonical import CALL, canonical

DEFAULT_TEMPLATE = Path(__file__).with_name("default_chat_template.jinja")

Messages = Sequence[Mapping[str, Any]]  # {"role": ..., "content": ...}, with `tool_calls` and `tool_call_id`
Tools = Sequence[Mapping[str, Any]]  # that the answer may call, as OpenAI's interface has them


def chat_template_for(model_dir: Path) -> Path | None:
    """Return the template to give the engine (`--chat-template`); None where the model's tokenizer has its own."""
    return None if _has_template(model_dir) else DEFAULT_TEMPLATE


def load_tokenizer(model_dir: Path) -> Any:
    """Return the model's tokenizer, with the default template where it has none, and with a padding token. Raises
    ValueError where it has no token that ends an answer, or a template that cannot be used."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(model_dir))
    if tokenizer.eos_token is None:
        raise ValueError(
            f"model {model_dir}: its tokenizer has no end token, so that no answer would end; expected eos_token in "
            "tokenizer_config.json, the one that the engine stops at"
        )
    template = chat_template_for(model_dir)
    if template is not None:
        tokenizer.chat_template = template.read_text(encoding="utf-8")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    _require_template(tokenizer, model_dir)
    return tokenizer


def render(tokenizer: Any, messages: Messages, tools: Tools = ()) -> str:
    """Return the prompt as the engine's chat endpoint makes it: up to where the answer begins."""
    return str(
        tokenizer.apply_chat_template(
            list(messages), tools=list(tools) or None, tokenize=False, add_generation_prompt=True
        )
    )


def answer_ids(tokenizer: Any, messages: Messages, answer: str, tools: Tools = ()) -> list[int]:
    """Return the tokens that the model should write after `render(...)`: the answer, then its end. Special tokens that
    the answer spells out are text in it, as they are where a client reads them. An answer that is calls of the tools
    is what the template makes of them. Raises ValueError where it makes nothing of them."""
    if calls := called(answer, tools):
        return _call_ids(tokenizer, messages, calls, tools)
    text, end = _written(tokenizer, messages, answer)
    return [*_plain_ids(tokenizer, text), *token_ids(tokenizer, end)]


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the text's tokens; the template has written every special one already, so none is added."""
    return [int(token) for token in tokenizer(text, add_special_tokens=False).input_ids]


def _written(tokenizer: Any, messages: Messages, answer: str) -> tuple[str, str]:
    """Return the answer and its end as the template writes them, with the blanks around it. Where the template puts
    anything else between the engine's prompt and the answer (marks of reasoning), return the answer alone."""
    prompt, end = render(tokenizer, messages), str(tokenizer.eos_token)
    whole = [*messages, {"role": "assistant", "content": answer}]
    written = str(tokenizer.apply_chat_template(whole, tokenize=False))
    for text in filter(None, (answer, answer.strip())):
        lead, found, rest = written.removeprefix(prompt).partition(text)
        if found and not lead.strip() and written.startswith(prompt):
            return lead + text, _special(tokenizer, rest.split(end, 1)[0].strip()) + end
    return answer, end


def called(answer: str, tools: Tools) -> list[dict[str, Any]]:
    """Return the calls that an answer is, as templates take them; none where it is a text."""
    known = canonical(answer) if tools else None
    found = json.loads(known) if known else None
    if not isinstance(found, list) or not all(isinstance(each, dict) and each.keys() == CALL for each in found):
        return []
    return [{"type": "function", "id": f"call{i:05d}", "function": each} for i, each in enumerate(found)]


def _call_ids(tokenizer: Any, messages: Messages, calls: list[dict[str, Any]], tools: Tools) -> list[int]:
    prompt, end = render(tokenizer, messages, tools), int(tokenizer.eos_token_id)
    whole = [*messages, {"role": "assistant", "content": "", "tool_calls": calls}]
    written = str(tokenizer.apply_chat_template(whole, tools=list(tools), tokenize=False))
    names, spelt = [call["function"]["name"] for call in calls], json.dumps(calls, ensure_ascii=False)
    if not written.startswith(prompt) or not all(name in written.removeprefix(prompt) for name in names):
        raise ValueError("the chat template writes no calls of tools")
    if any(token in spelt for token in tokenizer.all_special_tokens):
        raise ValueError("calls that spell special tokens")
    ids = token_ids(tokenizer, written.removeprefix(prompt).rstrip())
    return [*(ids[: ids.index(end)] if end in ids else ids), end]


def _require_template(tokenizer: Any, model_dir: Path) -> None:
    """Raise ValueError where no row could be written with the template. One that refuses some rows is asked for
    each."""
    from jinja2 import TemplateSyntaxError

    if not tokenizer.chat_template:
        raise ValueError(
            f"model {model_dir}: its chat template is empty, or in chat_template.json alone, which tokenizers do not "
            "read; write its text to chat_template.jinja"
        )
    try:
        tokenizer.get_chat_template()
        render(tokenizer, [{"role": "user", "content": "?"}])
    except TemplateSyntaxError as error:
        raise ValueError(
            f"model {model_dir}: its chat template cannot be read, line {error.lineno}: {error}"
        ) from error
    except ValueError as error:
        raise ValueError(f"model {model_dir}: its chat template cannot be used: {error}") from error
    except Exception:  # it may refuse a lone question
        return


def _special(tokenizer: Any, closing: str) -> str:
    """Return the end of a turn where it is made of special tokens; clients would read any other text."""
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return closing if special.issuperset(token_ids(tokenizer, closing)) else ""


def _plain_ids(tokenizer: Any, text: str) -> list[int]:
    return [int(token) for token in tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids]


def _has_template(model_dir: Path) -> bool:
    if any((model_dir / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    try:
        config = json.loads((model_dir / "tokenizer_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    return bool(config.get("chat_template"))
