"""Progress of long work: a bar on a terminal, else a line every PLAIN_EVERY_S."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PLAIN_EVERY_S = 15.0


@contextmanager
def meter(console: Console, what: str) -> Iterator[Callable[[int, int, float], None]]:
    """Yield a function of `(step, steps, loss)`, as `retrain.training.train.OnStep` is one."""
    if not console.is_terminal:
        yield _plain(console, what)
        return
    columns = (TextColumn("   {task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(what, total=None)

        def show(step: int, steps: int, loss: float) -> None:
            bar.update(task, completed=step, total=steps, description=f"{what}, loss {loss:.3f}")

        yield show


def _plain(console: Console, what: str) -> Callable[[int, int, float], None]:
    last = [0.0]

    def show(step: int, steps: int, loss: float) -> None:
        now = time.monotonic()
        if step == steps or now - last[0] >= PLAIN_EVERY_S:
            last[0] = now
            console.print(f"   {what}: step {step} of {steps}, loss {loss:.3f}", highlight=False)

    return show
