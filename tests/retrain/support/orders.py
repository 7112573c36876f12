"""Orders of trainings, in a folder of their own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from retrain.training import recipe
from retrain.training.__main__ import fulfil
from retrain.training.backends.contract import (
    OnStep,
    TrainingOrder,
    TrainingResult,
    read_order,
    steps_since,
    write_order,
)
from retrain.training.backends.process import TrainingFailed

WORDS = ("red", "blue", "green", "pink")
ROWS = [
    {"messages": [{"role": "user", "content": f"say {word}"}, {"role": "assistant", "content": word}]} for word in WORDS
] * 4
PROGRAM = (sys.executable, "-P", str(Path(__file__).with_name("training_program.py")))
ROOT = Path(__file__).parents[3]


def recipe_file(folder: Path, **training: object) -> Path:
    """The default recipe, without quantisation and with these knobs of `[training]`."""
    known = recipe.find("qlora")
    lines = Path(recipe.__file__).with_name("recipes").joinpath(f"{known.name}.toml").read_text().splitlines()
    given = {
        "min_steps": 12,
        "max_steps": 12,
        "batch_size": 4,
        "checkpoint_steps": 5,
        "learning_rate": 1e-2,
        **training,
    }
    changed = [_changed(line, {"enabled": False, **given}) for line in lines]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.toml"
    path.write_text("\n".join(changed) + "\n")
    return path


def _changed(line: str, given: dict[str, object]) -> str:
    name = line.partition("=")[0].strip()
    return f"{name} = {json.dumps(given[name])}" if name in given else line


def ordered(folder: Path, model_dir: Path, rows: list[dict[str, Any]] | None = None, **changes: Any) -> Path:
    """A folder with an order and its rows."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (ROWS if rows is None else rows)))
    given: dict[str, Any] = {
        "rows": "rows.jsonl",
        "model": model_dir.as_uri(),
        "recipe": str(recipe_file(folder)),
        "threads": 1,
        **changes,
    }
    write_order(folder, TrainingOrder(**given))
    return folder


def by_program(*mistakes: str) -> dict[str, Any]:
    """The changes of an order for the backend `command`."""
    return {"backend": "command", "command": [*PROGRAM, *mistakes, "{manifest}"]}


def fulfilled(folder: Path) -> TrainingResult:
    return fulfil(folder, *read_order(folder))


def here(folder: Path, processes: int, report: OnStep) -> TrainingResult:
    """As `run_training`, in this process: a training is over in a second, its process takes four to start."""
    result, found = fulfilled(folder), steps_since(folder, 0)[0]
    for each in found:
        report(each.step, each.steps, each.loss)
    if result.problem:
        raise TrainingFailed(result.problem)
    return result
