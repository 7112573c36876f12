"""Processes that have torch, transformers and peft already: forks of one that imported them. A process of its own takes
four to eight seconds of processor time for that, most tests' trainings less than one."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from unittest import mock

PRELOADED = ["peft", "tests.retrain.support.rank_process", "tests.retrain.support.training_process"]
ALONE = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}  # what holds from a library's import on


def forked(work: Callable[..., object], *given: object, **environment: str) -> BaseProcess:
    """Start a process that does the work, a module's function, in this environment; return it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with mock.patch.dict(os.environ, ALONE):
        forkserver.ensure_running()
    process = context.Process(target=_within, args=(environment, work, *given))
    process.start()
    return process


def _within(environment: Mapping[str, str], work: Callable[..., object], *given: object) -> None:
    os.environ.update(environment)
    work(*given)
