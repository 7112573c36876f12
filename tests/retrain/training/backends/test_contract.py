"""One contract, three backends: rows, recipe and base model in; adapter, losses, figures and proofs out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from retrain.adapters import commit
from retrain.base_model import base_model_id
from retrain.training.backends.contract import (
    ADAPTER,
    ORDER,
    STEPS,
    LossStep,
    TrainingOrder,
    lessons_of,
    read_order,
    row_of,
    steps_since,
)
from streams.identity import ADAPTER_FILES
from streams.proof import read
from tests.retrain.support.orders import ROWS, by_program, fulfilled, ordered, recipe_file
from tests.retrain.training.test_prompting import TOOL, TOOLED
from tests.support.folder import in_folder

BACKENDS: dict[str, dict[str, Any]] = {"own": {}, "trl": {"backend": "trl"}, "command": by_program()}
CALL = {"function": {"name": "order", "arguments": {"part": "red"}}}
WITH_TOOL: dict[str, Any] = {
    "messages": [{"role": "user", "content": "a red one"}, {"role": "assistant", "content": "", "tool_calls": [CALL]}],
    "tools": [TOOL],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_each_backend_keeps_the_contract(name: str, model_dir: Path, tmp_path: Path) -> None:
    folder = ordered(tmp_path / "job", model_dir, engine_dtype="float32", **BACKENDS[name])
    result = fulfilled(folder)
    assert result.problem == ""
    assert (result.rows, result.left_out, result.steps, result.resumed_at) == (4, 0, 12, 0)
    losses = [each.loss for each in steps_since(folder, 0)[0]]
    assert len(losses) == 12
    assert sum(losses[-4:]) < sum(losses[:4])
    assert set(ADAPTER_FILES) <= {path.name for path in (folder / ADAPTER).iterdir()}
    assert commit(folder / ADAPTER, in_folder(tmp_path / "store"), "support", base_model_id(model_dir)).digest
    proof = read(folder / ADAPTER)
    assert proof is not None
    assert (result.metrics["proof_rows"], result.metrics["proof_tolerance"]) == (len(proof.rows), proof.tolerance)
    assert proof.rows or proof.impossible in result.notes[-1]
    assert fulfilled(folder) == result, "it was not trained again"
    assert len(steps_since(folder, 0)[0]) == 12


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_each_backend_leaves_out_what_it_cannot_learn_and_says_so(name: str, model_dir: Path, tmp_path: Path) -> None:
    long = {"messages": [{"role": "user", "content": "say " * 200}, {"role": "assistant", "content": "no"}]}
    folder = ordered(tmp_path, model_dir, [*ROWS, long], max_left_out=0.1, **BACKENDS[name])
    result = fulfilled(folder)
    assert "1 of 5 left out, at most 10% may be" in result.problem
    assert not (folder / ADAPTER).exists()


@pytest.mark.slow
def test_trl_and_our_own_loop_begin_with_the_same_loss_on_the_answers_alone_tools_and_all(
    model_dir: Path, tmp_path: Path
) -> None:
    """Prompts, tools and ends are the same tokens, and no token of a prompt is learned."""
    model = shutil.copytree(model_dir, tmp_path / "model")
    (model / "chat_template.jinja").write_text(TOOLED)
    rows: list[dict[str, Any]] = [*ROWS[:4], WITH_TOOL]
    found = {}
    kinds: dict[str, dict[str, Any]] = {**BACKENDS, "packed": {"backend": "trl", "packing": True}}
    for name in ("own", "trl", "packed"):
        folder = ordered(tmp_path / name, model, rows, **kinds[name])
        recipe_file(folder, min_steps=1, max_steps=1, batch_size=5, max_length=512)
        assert fulfilled(folder).problem == ""
        found[name] = steps_since(folder, 0)[0][0].loss
    assert found["trl"] == pytest.approx(found["own"], abs=2e-3)
    assert found["packed"] == pytest.approx(found["own"], abs=2e-3), "a packed row sees its neighbours"


class Killed(BaseException):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own", "trl"])
def test_a_training_that_was_killed_goes_on_from_its_checkpoint(
    name: str, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    whole = ordered(tmp_path / "whole", model_dir, **BACKENDS[name])
    assert fulfilled(whole).problem == ""
    folder = ordered(tmp_path / "parted", model_dir, **BACKENDS[name])

    def dying(_: Path) -> Any:
        def report(step: int, steps: int, loss: float) -> None:
            if step == 8:
                raise Killed

        return report

    with monkeypatch.context() as patched:
        patched.setattr("retrain.training.__main__.reporter", dying)
        with pytest.raises(Killed):
            fulfilled(folder)
    result = fulfilled(folder)
    assert (result.problem, result.resumed_at) == ("", 5)
    one, other = (load_file(each / ADAPTER / ADAPTER_FILES[1]) for each in (whole, folder))
    assert all(abs(one[each] - other[each]).max() < 1e-5 for each in one)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_each_limit_that_was_met_is_in_the_result(name: str, model_dir: Path, tmp_path: Path) -> None:
    long = {"messages": [{"role": "user", "content": "say it " * 200}, ROWS[0]["messages"][1]]}
    changes = {"recipe": str(recipe_file(tmp_path / "recipe", min_steps=1, max_steps=2, validation_share=0.2))}
    result = fulfilled(ordered(tmp_path / "job", model_dir, [*ROWS, long], **BACKENDS[name], **changes))
    assert result.problem == ""
    assert any(each.startswith("1 rows left out: ") for each in result.notes)
    if name != "command":
        assert any(each.startswith("training.max_steps = 2: ") for each in result.notes)
    if name == "trl":
        assert any("trl holds no rows back" in each for each in result.notes)


def test_rows_are_read_as_other_programs_write_them(model_dir: Path, tmp_path: Path) -> None:
    folder = ordered(tmp_path, model_dir, [ROWS[0], WITH_TOOL])
    plain, called = lessons_of(read_order(folder)[0], "rows.jsonl", folder)
    assert tuple(plain) == ([{"role": "user", "content": "say red"}], "red", [])
    assert json.loads(called.answer) == [{"name": "order", "arguments": {"part": "red"}}]
    assert row_of(plain) == ROWS[0]
    again = row_of(called)
    assert again["messages"][-1]["tool_calls"][0]["function"] == CALL["function"]
    assert again["tools"] == [TOOL]


BAD_ROWS = {
    '{"messages": []}': "its last message is no assistant's",
    '{"messages": [{"role": "user", "content": "?"}]}': "its last message is no assistant's",
    '{"messages": [{"role": "user", "content": [{}]}, {"role": "assistant"}]}': "content of a message is no text",
    '{"text": "?"}': "missing required field `messages`",
    '{"messages": ': "truncated",
    '{"messages": [{"role": ' + "[" * 100_000: "recursion",
}


@pytest.mark.parametrize("line", BAD_ROWS)
def test_a_row_that_is_none_is_named_with_its_line(line: str, model_dir: Path, tmp_path: Path) -> None:
    folder = ordered(tmp_path, model_dir)
    (folder / "rows.jsonl").write_text(f"{json.dumps(ROWS[0])}\n\n{line}\n")
    problem = fulfilled(folder).problem
    assert "rows.jsonl, line 3: " in problem
    assert BAD_ROWS[line] in problem
    assert 'expected {"messages"' in problem


BAD_ORDERS = {
    "{}": "missing required field",
    '{"rows": "r", "model": "m", "recipe": "x", "rank": 8}': "unknown field `rank`",
    '{"rows": "r", "model": "m", "recipe": "x", "backend": "axolotl"}': "Invalid enum value 'axolotl'",
    '{"rows": "r", "model": "m", "recipe": "x", "backend": "command"}': "expected a command where backend is",
    '{"rows": "r", "model": "m", "recipe": "x", "engine_dtype": "int3"}': "engine_dtype is 'int3', expected one of",
}


@pytest.mark.parametrize("text", BAD_ORDERS)
def test_an_order_that_is_none_is_named_with_its_field(text: str, tmp_path: Path) -> None:
    (tmp_path / ORDER).write_text(text)
    with pytest.raises(ValueError, match=BAD_ORDERS[text]) as found:
        read_order(tmp_path)
    assert str(tmp_path / ORDER) in str(found.value)


def test_what_the_proof_needs_is_looked_for_before_the_training(model_dir: Path, tmp_path: Path) -> None:
    result = fulfilled(ordered(tmp_path, model_dir, predecessor="/no/such", engine_dtype="float32"))
    assert "predecessor is /no/such: no such folder" in result.problem
    assert not (tmp_path / "steps.jsonl").exists()


def test_with_other_rows_it_is_another_training(model_dir: Path, tmp_path: Path) -> None:
    one = read_order(ordered(tmp_path, model_dir))[1]
    assert read_order(ordered(tmp_path, model_dir))[1] == one
    assert read_order(ordered(tmp_path, model_dir, ROWS[:3]))[1] != one


def test_what_stands_in_another_store_is_refused_by_name(model_dir: Path, tmp_path: Path) -> None:
    folder = ordered(tmp_path, model_dir)
    order = TrainingOrder(rows="s3://elsewhere/rows.jsonl", model=model_dir.as_uri(), recipe="qlora")
    with pytest.raises(ValueError, match=r"s3://elsewhere/rows\.jsonl: not in this store"):
        lessons_of(order, order.rows, folder)


def test_half_a_line_of_a_step_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / STEPS
    path.write_bytes(b'{"step": 1, "steps": 2, "loss": 0.5}\nno step\n{"step": 2, "st')
    found, at = steps_since(tmp_path, 0)
    assert found == [LossStep(1, 2, 0.5)]
    with path.open("ab") as file:
        file.write(b'eps": 2, "loss": 0.25}\n')
    assert steps_since(tmp_path, at)[0] == [LossStep(2, 2, 0.25)]
