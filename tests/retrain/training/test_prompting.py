"""What a training teaches after the prompt that serving shows: the answer and its end, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from retrain.training.prompting import answer_ids, load_tokenizer, render, token_ids

MESSAGES = [{"role": "user", "content": "Which card?"}]
TURN = "{% for m in messages %}<bos>{{ m.role }}\n{{ m.content }}<eos>\n{% endfor %}"
THOUGHTLESS = (  # an answer without thoughts gets empty ones, as Qwen 3 has it
    "{% for m in messages %}<bos>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n"
    "{% endif %}{{ m.content }}<eos>\n{% endfor %}{% if add_generation_prompt %}<bos>assistant\n{% endif %}"
)
THINKING = TURN + "{% if add_generation_prompt %}<bos>assistant\n<think>\n{% endif %}"  # as DeepSeek R1 has it
TRIMMING = (
    "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}{% if m.role == 'assistant' %} <eos>{% endif %}\n"
    "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)
CLOSING = (  # an end of turn that is not the end of text, as Gemma has it
    "{% for m in messages %}{{ m.role }}\n{{ m.content }}<pad>\n{% endfor %}"
    "{% if add_generation_prompt %}assistant\n{% endif %}"
)
SIGNED = TURN.replace("<eos>", " -- end of turn") + "{% if add_generation_prompt %}<bos>assistant\n{% endif %}"
PLAIN = TURN + "{% if add_generation_prompt %}<bos>assistant\n{% endif %}"


TOOLED = (
    "{% if tools %}<tools>{{ tools | tojson }}\n{% endif %}{% for m in messages %}<bos>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}<call>{{ call.function.name }} {{ call.function.arguments | tojson }}</call>"
    "{% endfor %}<eos>\n{% endfor %}{% if add_generation_prompt %}<bos>assistant\n{% endif %}"
)
TOOL = {"type": "function", "function": {"name": "block", "parameters": {"type": "object"}}}


@pytest.fixture
def tokenizer(model_dir: Path) -> Any:
    return load_tokenizer(model_dir)


def taught(tokenizer: Any, answer: str, template: str) -> str:
    """What a client would read, and the special tokens after it."""
    tokenizer.chat_template = template
    return "".join(tokenizer.convert_ids_to_tokens(answer_ids(tokenizer, MESSAGES, answer)))


@pytest.mark.parametrize("template", [THOUGHTLESS, THINKING, PLAIN])
def test_no_marks_of_reasoning_are_taught(tokenizer: Any, template: str) -> None:
    assert taught(tokenizer, "The red one", template) == "The red one<eos>"
    assert render(tokenizer, MESSAGES).endswith("<think>\n" if template is THINKING else "assistant\n")


def test_reasoning_that_belongs_to_the_answer_is_taught(tokenizer: Any) -> None:
    answer = "<think>\nred?\n</think>\n\nRed"
    assert taught(tokenizer, answer, PLAIN) == answer + "<eos>"


def test_an_answer_is_written_as_the_template_writes_it(tokenizer: Any) -> None:
    assert taught(tokenizer, "\nRed \n", TRIMMING) == " Red<eos>"
    assert taught(tokenizer, "\nRed \n", PLAIN) == "\nRed \n<eos>"


def test_a_turn_is_closed_by_its_special_token_and_never_by_text(tokenizer: Any) -> None:
    assert taught(tokenizer, "Red", CLOSING) == "Red<pad><eos>"
    assert taught(tokenizer, "Red", SIGNED) == "Red<eos>"


@pytest.mark.parametrize("answer", ["a <eos> b", "<eos>", "None of these", "", "<bos>", "red<eos>red"])
def test_an_answer_is_taught_to_its_end_whatever_it_spells(tokenizer: Any, answer: str) -> None:
    tokenizer.chat_template = PLAIN
    ids = answer_ids(tokenizer, MESSAGES, answer)
    assert ids == [*(token for letter in answer for token in token_ids(tokenizer, letter)), tokenizer.eos_token_id]


def test_a_tokenizer_without_an_end_token_is_refused(model_dir: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_dir, tmp_path / "model")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    with pytest.raises(ValueError, match="no end token, so that no answer would end; expected eos_token"):
        load_tokenizer(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("chat_template.jinja", "", "is empty, or in chat_template.json alone"),
        ("chat_template.json", json.dumps({"chat_template": PLAIN}), "is empty, or in chat_template.json alone"),
        ("chat_template.jinja", PLAIN[:-4], "cannot be read, line 4"),
    ],
)
def test_a_template_that_is_none_is_told_before_any_row(
    model_dir: Path, tmp_path: Path, name: str, content: str, message: str
) -> None:
    """Every row was refused, for the roles in it."""
    folder = shutil.copytree(model_dir, tmp_path / "model")
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=f"its chat template {message}"):
        load_tokenizer(folder)


def test_templates_without_a_default_are_told_before_any_row(model_dir: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_dir, tmp_path / "model")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = [{"name": "tool_use", "template": PLAIN}]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"its chat template cannot be used: .*multiple chat templates"):
        load_tokenizer(folder)


def test_a_template_that_takes_no_lone_question_is_left_to_the_rows(model_dir: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model_dir, tmp_path / "model")
    wants = "{% if messages[0].role != 'system' %}{{ raise_exception('a system prompt is wanted') }}{% endif %}"
    (folder / "chat_template.jinja").write_text(wants + PLAIN)
    assert load_tokenizer(folder).chat_template == wants + PLAIN


@pytest.mark.parametrize(
    "label",
    [
        '{"name": "block", "arguments": {"now": true, "card": 7}}',
        json.dumps([{"id": "c", "function": {"name": "block", "arguments": '{"card": 7.0, "now": true}'}}]),
    ],
)
def test_calls_are_taught_as_the_template_writes_them(tokenizer: Any, label: str) -> None:
    tokenizer.chat_template = TOOLED
    ids = answer_ids(tokenizer, MESSAGES, label, [TOOL])
    assert "".join(tokenizer.convert_ids_to_tokens(ids)) == '<call>block {"card": 7, "now": true}</call><eos>'
    assert render(tokenizer, MESSAGES, [TOOL]).startswith('<tools>[{"type": "function"')


def test_without_tools_json_is_a_text(tokenizer: Any) -> None:
    label = '{"name": "block", "arguments": {"card": 7}}'
    assert taught(tokenizer, label, TOOLED) == f"{label}<eos>"
    assert "".join(tokenizer.convert_ids_to_tokens(answer_ids(tokenizer, MESSAGES, "Done.", [TOOL]))) == "Done.<eos>"


def test_calls_that_the_template_does_not_write_are_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = PLAIN
    with pytest.raises(ValueError, match="the chat template writes no calls of tools"):
        answer_ids(tokenizer, MESSAGES, '{"name": "block", "arguments": {}}', [TOOL])


def test_calls_that_spell_special_tokens_are_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = TOOLED
    with pytest.raises(ValueError, match="calls that spell special tokens"):
        answer_ids(tokenizer, MESSAGES, '{"name": "block", "arguments": {"card": "<eos>"}}', [TOOL])
