"""A Python function of the operator's as a metric: `(request, answer, truth) -> float`, 1 for the best answer.

`request` is a dict as OpenAI's chat takes it (`messages`, `tools`, ...), `answer` a dict with `text`, what labels are
compared with, and `choices` as a chat completion has them, `truth` a text, or None where there is none."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import math
import threading
import traceback
from collections.abc import Callable, Sequence
from copy import deepcopy
from numbers import Real
from typing import Any, NamedTuple, cast

import numpy as np
import structlog

from streams.scoring.rows import AnsweredRow, Unjudged

log = structlog.get_logger()

Function = Callable[[dict[str, Any], dict[str, Any], str | None], object]
THREADS = 2  # that call the function at once
MOST_STUCK = 8  # calls that did not end in time and still run: with more, none is made


class CallableGrader:
    """The function, called in threads of its own: a process ends, and its event loop goes on, whatever they do."""

    def __init__(self, function: Function, timeout_s: float) -> None:
        self._function, self._timeout_s = function, timeout_s
        self._stuck = 0
        self._logged: set[Unjudged] = set()

    async def scores(self, rows: Sequence[AnsweredRow]) -> list[float | Unjudged]:
        """Return each row's score."""
        slots = asyncio.Semaphore(THREADS)

        async def score(row: AnsweredRow) -> float | Unjudged:
            async with slots:
                return await self._of(row)

        return list(await asyncio.gather(*map(score, rows)))

    async def _of(self, row: AnsweredRow) -> float | Unjudged:
        if self._stuck >= MOST_STUCK:
            return Unjudged.SLOW
        found = self._called(row)
        try:
            ended = await asyncio.wait_for(asyncio.shield(found), self._timeout_s)
        except TimeoutError:
            self._stuck += 1
            found.add_done_callback(self._freed)
            return self._without(NoScore(Unjudged.SLOW, f"no result within {self._timeout_s:g} s"))
        return self._without(ended) if isinstance(ended, NoScore) else ended

    def _called(self, row: AnsweredRow) -> asyncio.Future[float | NoScore]:
        """Return the end to come of a call in a thread of its own."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[float | NoScore] = loop.create_future()

        def end(result: float | NoScore) -> None:
            if not found.done():
                found.set_result(result)

        def call() -> None:
            result = called(self._function, row)
            if not loop.is_closed():
                loop.call_soon_threadsafe(end, result)

        threading.Thread(target=call, daemon=True, name="metric").start()
        return found

    def _freed(self, found: asyncio.Future[float | NoScore]) -> None:
        self._stuck -= 1

    def _without(self, ended: NoScore) -> Unjudged:
        if ended.why not in self._logged:
            self._logged.add(ended.why)
            name = _name(self._function)
            log.warning("the metric's function gives no score", function=name, why=ended.why, detail=ended.detail)
        return ended.why


class NoScore(NamedTuple):
    """Why a call gave none, and what it says of that."""

    why: Unjudged
    detail: str


def called(function: Function, row: AnsweredRow) -> float | NoScore:
    """Return the function's score of a row, whatever it does: SystemExit must end no more than this call, and no task
    takes a StopIteration. The function has copies of its own: what it changes is asked of other answers too."""
    try:
        return checked(function(deepcopy(row.request), deepcopy(row.answer), row.truth))
    except NotAScore as error:
        return NoScore(Unjudged.OUTSIDE, str(error))
    except BaseException as error:
        return NoScore(Unjudged.RAISED, traceback.format_exception_only(error)[-1].strip())


class NotAScore(ValueError):
    """A result that is no number from 0 to 1."""


def checked(result: object) -> float:
    """Return a function's result as a score. Raise NotAScore.

    >>> checked(True), checked(0.25)
    (1.0, 0.25)
    """
    value = float(result) if isinstance(result, Real | np.bool_) else math.nan
    if not 0.0 <= value <= 1.0:
        raise NotAScore(f"the result is {result!r}, expected a number from 0 to 1")
    return value


def imported(dotted: str, at: str) -> Function:
    """Return the function of this name. Raise ValueError naming the setting `at` where it cannot be imported, or takes
    no three arguments."""
    module, _, name = dotted.rpartition(":" if ":" in dotted else ".")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # a module may raise anything while it is imported
        raise ValueError(
            f"{at} is {dotted!r}, which cannot be imported ({type(error).__name__}: {error}); expected a function of a "
            f"module on Python's path (PYTHONPATH)"
        ) from error
    if not callable(found) or inspect.iscoroutinefunction(found):
        raise ValueError(f"{at} is {dotted!r}, a {type(found).__name__}, expected a plain function")
    try:
        inspect.signature(found).bind({}, {}, None)
    except TypeError as error:
        raise ValueError(f"{at} is {dotted!r}, expected a function (request, answer, truth): {error}") from error
    except ValueError:  # built in C: it says nothing of its arguments
        pass
    return cast(Function, found)


def _name(function: Function) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', '?')}"
