"""One training, as a process or as several by torchrun: `python -m retrain.training [--with-parent] FOLDER`.

FOLDER/order.json says what is to be trained (`backends.contract`); FOLDER/adapter and FOLDER/result.json come of it.
Killed and started again it goes on; once there is a result for the same order, it does nothing."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import msgspec
from msgspec.structs import replace

from retrain.base_model import check_model
from retrain.training import recipe
from retrain.training.backends.contract import (
    RESULT,
    TrainingFigures,
    TrainingOrder,
    TrainingResult,
    TrainingTask,
    lessons_of,
    read_order,
    read_result,
    reporter,
)
from streams.files import locked, put

USAGE = "usage: python -m retrain.training [--with-parent] FOLDER"
Train = Callable[[TrainingTask], TrainingFigures]


def main(arguments: list[str]) -> int:
    """Train; return 0 where there is an adapter, 1 where the result says why not, 2 where there is no order.
    `--with-parent`: end when the standard input does, which the process that started this one holds open."""
    folders = [each for each in arguments if each != "--with-parent"]
    if len(folders) != 1 or folders[0].startswith("-"):
        print(USAGE, file=sys.stderr)
        return 2
    folder = Path(folders[0])
    if "--with-parent" in arguments:
        threading.Thread(target=_die_with_input, daemon=True).start()
    try:
        order, digest = read_order(folder)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    with locked(folder / "lock") if first() else nullcontext():
        problem = fulfil(folder, order, digest).problem
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


def first() -> bool:
    """Return whether this process is the one that writes, among those that train together."""
    return os.environ.get("RANK", "0") == "0"


def fulfil(folder: Path, order: TrainingOrder, digest: str) -> TrainingResult:
    """Train what is ordered and write the result, the problem where there is one; return it. A result that stands is
    returned as it is, unless it is a problem."""
    known = read_result(folder, digest)
    if known is not None and not known.problem:
        return known
    began = time.monotonic()
    try:
        result = _trained(folder, order, digest)
    except Exception as error:  # the training's top: the result names the error
        result = TrainingResult(order=digest, problem=f"{type(error).__name__}: {error}")
        if not first():
            raise
    result = replace(result, seconds=time.monotonic() - began)
    if first():
        put(folder / RESULT, msgspec.json.format(msgspec.json.encode(result)))
    return result


def _trained(folder: Path, order: TrainingOrder, digest: str) -> TrainingResult:
    from retrain.training.backends.delivered import check_delivered
    from retrain.training.proofs.proof import write_proof

    storage = order.storage_at(folder)
    model_dir = storage.local(order.model, folder)
    check_model(model_dir)
    task = TrainingTask(
        order=order,
        digest=digest,
        folder=folder,
        recipe=_recipe(order, folder),
        model_dir=model_dir,
        rows=lessons_of(order, order.rows, folder),
        validation=lessons_of(order, order.validation, folder),
        warm_start=storage.local(order.warm_start, folder) if order.warm_start else None,
        report=reporter(folder),
    )
    predecessor = storage.local(order.predecessor, folder) if order.predecessor else None
    if predecessor is not None and not predecessor.is_dir():  # known before the hours of the training, and not after
        raise FileNotFoundError(f"predecessor is {order.predecessor}: no such folder; expected an adapter's")
    figures = _backend(order.backend)(task)
    gc.collect()  # the model that was trained
    if not first():
        return TrainingResult(order=digest)
    check_delivered(task.adapter, model_dir)
    result = TrainingResult(order=digest, **asdict(figures))
    if not order.engine_dtype:
        return result
    proof = write_proof(task.adapter, model_dir, predecessor, order.engine_dtype)
    notes = [f"no proof of effect is possible: {proof.impossible}"] if proof.impossible else []
    figured = {"proof_rows": float(len(proof.rows)), "proof_tolerance": proof.tolerance}
    return replace(result, metrics=result.metrics | figured, notes=[*result.notes, *notes])


def _recipe(order: TrainingOrder, folder: Path) -> recipe.Recipe:
    if not isinstance(order.recipe, str):
        return recipe.parse(order.recipe)
    near = folder / order.recipe
    return recipe.load(near) if near.is_file() else recipe.find(order.recipe)


def _backend(name: str) -> Train:
    """Return the backend; each imports libraries that the others do without."""
    if name == "trl":
        from retrain.training.backends.sft import train_sft

        return train_sft
    if name == "command":
        from retrain.training.backends.program import train_by_command

        return train_by_command
    from retrain.training.backends.own import train_own

    return train_own


def _die_with_input() -> None:
    """End this process and its like once the parent is gone."""
    os.read(0, 1)
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
