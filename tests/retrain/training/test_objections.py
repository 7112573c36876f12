"""What a chat template makes of a row: one row that it refuses, or whose question it drops, ends no job."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from retrain.training.encoding import lessons
from retrain.training.objections import COMPLETIONS, NOTHING, PARTS, TOKENS, TOOLS, usable
from retrain.training.prompting import load_tokenizer
from serving.gateway.openai.request_body import Operation, parse
from streams.messages import Message
from tests.retrain.support.rows import row

SAY = "{{ '<' + message['role'][0] + '>' + message['content'] + '\\n' }}"
REFUSE = "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
BODIES = {
    "takes all": SAY,
    "knows three roles": "{%- if message['role'] in ['system', 'user', 'assistant'] -%}" + SAY + "{%- endif -%}",
    "no system": "{%- if message['role'] == 'system' or not messages -%}" + REFUSE + "{%- endif -%}" + SAY,
    "alternates": "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}" + REFUSE + "{%- endif -%}" + SAY,
    "quotes": "{{ '<' + message['role'][0] + '>' + (message['content'] | trim | tojson) }}",
}
TEMPLATES = {
    name: "{%- for message in messages -%}" + body + "{%- endfor -%}{%- if add_generation_prompt -%}<a>{%- endif -%}"
    for name, body in BODIES.items()
}
USER, SYSTEM, ASSISTANT = Message("user", "where is it?"), Message("system", "be brief"), Message("assistant", "which?")
TOOL, TEXT, DEVELOPER = Message("tool", "17 degrees"), Message("text", "the sky is"), Message("developer", "be kind")


def pictured(kind: str) -> list[Message]:
    """What an event keeps of a question with a part of that kind."""
    parts = [{"type": "text", "text": "what is this?"}, {"type": kind, kind: "data:image/png;base64,iVBORw0KGgo="}]
    body = {"model": "support", "messages": [{"role": "user", "content": parts}]}
    return parse(msgspec.json.encode(body), Operation.CHAT).messages()


def called() -> list[Message]:
    """What an event keeps of a response's question in which a tool was called."""
    call = {"type": "function_call", "call_id": "1", "name": "weather", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "1", "output": "17 degrees"}
    body = {"model": "support", "input": [{"role": "user", "content": "how warm is it?"}, call, output]}
    return parse(msgspec.json.encode(body), Operation.RESPONSE).messages()


@pytest.fixture
def tokenizer(model_dir: Path) -> Any:
    return load_tokenizer(model_dir)


@pytest.mark.parametrize(
    ("template", "messages", "why"),
    [
        ("takes all", [SYSTEM, USER, ASSISTANT, USER], ""),
        ("quotes", [SYSTEM, Message("user", ' "so" \n'), ASSISTANT, USER], ""),
        ("knows three roles", [SYSTEM, USER], ""),
        ("knows three roles", [DEVELOPER, USER], "the chat template leaves out what the role 'developer' says"),
        ("knows three roles", [TEXT], ""),
        ("takes all", [TEXT, TEXT], COMPLETIONS),
        ("takes all", [Message("text", "[17 tokens]")], TOKENS),
        ("takes all", [Message("text", "")], NOTHING),
        ("takes all", [USER, ASSISTANT, TOOL], TOOLS),
        ("takes all", called(), ""),
        ("knows three roles", called(), "the chat template leaves out what the role 'tool' says"),
        ("no system", [SYSTEM, USER], "the chat template refuses the roles system, user in their order"),
        ("no system", [USER], ""),
        ("alternates", [USER, ASSISTANT, USER], ""),
        ("alternates", [USER, USER], "the chat template refuses the roles user in their order"),
        ("alternates", [ASSISTANT, USER], "the chat template refuses the roles assistant, user in their order"),
        ("takes all", [], NOTHING),
        ("takes all", pictured("image_url"), PARTS),
        ("takes all", pictured("input_audio"), PARTS),
        ("takes all", pictured("text"), ""),
        ("takes all", [Message("user", "what is [image_url] in my request?")], ""),
    ],
)
def test_rows_that_a_template_does_not_take_are_set_aside_and_counted(
    tokenizer: Any, template: str, messages: list[Message], why: str
) -> None:
    tokenizer.chat_template = TEMPLATES[template]
    good, tried = row(1, messages=[USER]), row(2, messages=messages)
    dropped: Counter[str] = Counter()
    assert usable(tokenizer, [good, tried], dropped) == ([good] if why else [good, tried])
    assert dropped == ({why: 1} if why else {})


def test_one_row_that_is_refused_ends_no_training(tokenizer: Any) -> None:
    tokenizer.chat_template = TEMPLATES["alternates"]
    rows = [row(i).lesson() for i in range(9)]
    bad = row(10, messages=[USER, USER]).lesson()
    found = lessons(tokenizer, [*rows, bad, bad], 512)
    assert len(found.rows) == 9
    assert found.left_out == {"the chat template refuses the roles user in their order": 1}


@pytest.mark.slow
def test_a_training_without_most_of_its_rows_is_refused(tokenizer: Any) -> None:
    long = [row(i, messages=[Message("user", f"{i} " + "x" * 600)]).lesson() for i in range(151)]
    rows = [row(1_000 + i).lesson() for i in range(16)]
    with pytest.raises(ValueError, match=r"rows: 151 of 167 left out, at most 50% may be \(retrain.max_left_out\)"):
        lessons(tokenizer, [*rows, *long] * 2, 256)
    assert lessons(tokenizer, [*rows, *long], 256, max_left_out=0.95).left_out == {
        "longer than the recipe's training.max_length": 151
    }
    with pytest.raises(ValueError, match="rows: 151, none of at most 256 tokens"):
        lessons(tokenizer, long, 256, max_left_out=1.0)
