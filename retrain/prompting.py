"""One way to turn messages into a prompt: the chat template, in training and in the engine alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DEFAULT_TEMPLATE = Path(__file__).with_name("default_chat_template.jinja")

Messages = Sequence[Mapping[str, str]]  # {"role": ..., "content": ...}


def chat_template_for(model_dir: Path) -> Path | None:
    """The template to hand the engine (`--chat-template`), or None where the model's tokenizer brings its own."""
    return None if _has_template(model_dir) else DEFAULT_TEMPLATE


def load_tokenizer(model_dir: Path) -> Any:
    """The model's tokenizer, with our template where it has none, and a padding token."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(model_dir))
    template = chat_template_for(model_dir)
    if template is not None:
        tokenizer.chat_template = template.read_text(encoding="utf-8")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def render(tokenizer: Any, messages: Messages) -> str:
    """The prompt as the engine's chat endpoint makes it: up to where the answer begins."""
    return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True))


def completion(tokenizer: Any, messages: Messages, answer: str) -> str:
    """What the model should write after `render(...)`: the answer as the template writes it, then the end token."""
    prompt = render(tokenizer, messages)
    whole = [*messages, {"role": "assistant", "content": answer}]
    told = str(tokenizer.apply_chat_template(whole, tokenize=False))
    rest = told.removeprefix(prompt) if told.startswith(prompt) else answer
    end = str(tokenizer.eos_token)
    return rest.split(end, 1)[0] + end


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """The text's tokens; the template has written every special one already, so none is added."""
    return [int(token) for token in tokenizer(text, add_special_tokens=False).input_ids]


def _has_template(model_dir: Path) -> bool:
    if any((model_dir / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    try:
        config = json.loads((model_dir / "tokenizer_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    return bool(config.get("chat_template"))
