"""The backend `command`: any program that reads a manifest and leaves a PEFT folder, such as Axolotl or Unsloth.

It is started without a shell, and gets no variable that is named like a secret unless the settings name it. Its rows
stand in a file of their own only while it runs."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO

import msgspec

from monitor.canonical import UNREADABLE
from retrain.data import manifest as datasets
from retrain.training.backends.contract import (
    STEPS,
    TrainingFigures,
    TrainingTask,
    row_of,
    steps_since,
)
from retrain.training.batches import Encoded
from retrain.training.encoding import lessons
from retrain.training.loop.plan import left_out
from retrain.training.prompting import load_tokenizer
from streams.files import put

MANIFEST, OUTPUT, FIGURES = "manifest.json", "output", "metrics.json"
PLACE = "{manifest}"  # in the command: the manifest's path
SECRET = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|API_?KEY|ACCESS_KEY|PRIVATE_KEY|_KEY$", re.IGNORECASE)
TAIL = 2_000  # bytes of the output that an error shows
GRACE_S = 10.0  # after SIGTERM
PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux


class CommandFailed(RuntimeError):
    """The program did not end well; the message has its exit and the end of its output."""


class TrainingManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the program is given. Paths are absolute; it holds no secret."""

    model: str  # the base model's folder
    rows: str  # JSON lines: {"messages": [..., the answer], "tools": [...]}; learn from the last message alone
    tokens: str  # the rows that fit, as engines tokenise them: {"input_ids", "attention_mask", "labels"}; -100: no loss
    validation: str  # as `rows`, to measure on; empty where there is none
    warm_start: str  # the folder of the adapter to begin from; empty: from the base model
    recipe: dict[str, object]  # all knobs of the recipe
    chat_template: str  # a file with the template that engines use
    adapter: str  # the folder to write: adapter_config.json and adapter_model.safetensors
    checkpoints: str  # a folder of its own, kept between starts: what it finds there it may go on from
    steps: str  # a file for lines {"step": 1, "steps": 40, "loss": 0.5}, if it likes
    metrics: str  # a file for an object of numbers, if it likes


def train_by_command(task: TrainingTask) -> TrainingFigures:
    """Run the program. Raise CommandFailed where it does not end with status 0, ValueError where too many rows cannot
    be learned from."""
    tokenizer = load_tokenizer(task.model_dir)
    taught = lessons(tokenizer, task.rows, task.recipe.training.max_length, task.order.max_left_out)
    shutil.rmtree(task.adapter, ignore_errors=True)  # of an earlier start
    _checkpoints(task).mkdir(exist_ok=True)
    put(task.folder / "chat_template.jinja", str(tokenizer.chat_template).encode())
    began = len(steps_since(task.folder, 0)[0])
    with _rows_folder(task) as scratch:
        path = task.folder / MANIFEST
        put(path, msgspec.json.format(msgspec.json.encode(_manifest(task, scratch, taught.rows))))
        _run([each.replace(PLACE, str(path)) for each in task.order.command], task)
    steps = steps_since(task.folder, 0)[0][began:]
    return TrainingFigures(
        rows=len({(*row.prompt, -1, *row.completion) for row in taught.rows}),
        left_out=sum(taught.left_out.values()),
        reasons=taught.left_out,
        steps=steps[-1].steps if steps else 0,
        resumed_at=steps[0].step - 1 if steps else 0,
        loss=steps[-1].loss if steps else 0.0,
        metrics=_figures(task.folder / FIGURES),
        notes=left_out(taught.left_out),
    )


def environment(given: Mapping[str, str], allowed: Sequence[str]) -> dict[str, str]:
    """Return the variables that the program gets: none that is named like a secret, unless it is allowed.

    >>> environment({"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "HF_TOKEN": "y"}, ["HF_TOKEN"])
    {'PATH': '/bin', 'HF_TOKEN': 'y'}
    """
    return {name: value for name, value in given.items() if name in allowed or not SECRET.search(name)}


def _manifest(task: TrainingTask, scratch: Path, taught: Sequence[Encoded]) -> TrainingManifest:
    folder = task.folder.resolve()
    return TrainingManifest(
        model=str(task.model_dir.resolve()),
        rows=_written(scratch / "rows.jsonl", map(row_of, task.rows)),
        tokens=_written(scratch / "tokens.jsonl", map(_in_tokens, taught)),
        validation=_written(scratch / "validation.jsonl", map(row_of, task.validation)) if task.validation else "",
        warm_start=str(task.warm_start.resolve()) if task.warm_start else "",
        recipe=asdict(task.recipe),
        chat_template=str(folder / "chat_template.jinja"),
        adapter=str(task.adapter.resolve()),
        checkpoints=str(_checkpoints(task).resolve()),
        steps=str(folder / STEPS),
        metrics=str(folder / FIGURES),
    )


def _checkpoints(task: TrainingTask) -> Path:
    """Return a folder that no other order's checkpoints are in."""
    return task.folder / f"checkpoints-{task.digest[:12]}"


def _in_tokens(row: Encoded) -> dict[str, list[int]]:
    labels = [-100] * len(row.prompt) + row.completion
    return {"input_ids": [*row.prompt, *row.completion], "attention_mask": [1] * len(labels), "labels": labels}


def _written(path: Path, rows: Iterable[object]) -> str:
    put(path, b"".join(msgspec.json.encode(each) + b"\n" for each in rows))
    return str(path.resolve())


@contextmanager
def _rows_folder(task: TrainingTask) -> Iterator[Path]:
    """Give a folder for rows, which are clients' texts: removed afterwards, and where a kill keeps it, within a day by
    an erasure's round, as the other half-made datasets are."""
    if task.order.var:
        with task.order.storage_at(task.folder).trees().scratch(datasets.DATASETS) as scratch:
            yield scratch
    else:
        with tempfile.TemporaryDirectory(dir=task.folder, prefix=".rows-") as made:
            yield Path(made)


def _run(command: list[str], task: TrainingTask) -> None:
    """Run the program in a session of its own, all of which ends with it."""
    path = task.folder / OUTPUT
    with path.open("wb") as output:
        process = _started(command, output, task)
        try:
            status = process.wait()
        finally:
            _end(process)
    if status:
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        raise CommandFailed(f"retrain.command: {command[0]!r} {how}; the end of its output ({path}): {_tail(path)}")


def _started(command: list[str], output: IO[bytes], task: TrainingTask) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=task.folder,
            env=environment(os.environ, task.order.command_environment) | _threads(task.order.threads),
            start_new_session=True,
            preexec_fn=_dying_with_parent(),
        )
    except OSError as error:
        raise CommandFailed(
            f"retrain.command: {command[0]!r} cannot be started ({error.strerror}); expected a program that is "
            "installed, or its path"
        ) from error


def _threads(count: int) -> dict[str, str]:
    """Return the variable by which libraries take so many threads: a processor that engines share is slow with more."""
    return {"OMP_NUM_THREADS": str(count)} if count else {}


def _dying_with_parent() -> Callable[[], None] | None:
    """Return what asks Linux, in a process that begins, to end it with its parent, even where that is killed."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # looked up here: little may be done between fork and exec
    return None if prctl is None else partial(prctl, PARENT_DEATH_SIGNAL, signal.SIGKILL.value)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the program's session: a launcher that was killed leaves its workers."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            return
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            continue


def _tail(path: Path) -> str:
    data = path.read_bytes()[-TAIL:]
    return data.decode(errors="replace").strip() or "nothing"


def _figures(path: Path) -> dict[str, float]:
    """Return the numbers that the program wrote, if it did. Raise CommandFailed where they are none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, float])
    except FileNotFoundError:
        return {}
    except UNREADABLE as error:
        raise CommandFailed(f"{path}: {error}; expected an object of numbers") from error
