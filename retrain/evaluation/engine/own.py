"""An engine of the evaluation's own, where the machine has room for one: clients' engines serve clients alone then."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil
import structlog

from retrain.evaluation.engine.keeper import GRACE_S
from retrain.evaluation.evaluate import EvaluationRefused

log = structlog.get_logger()

LEAST_GB = 32.0  # of memory that is free, for one on the processor; more than that
FREE_SHARE = 0.9  # of a GPU's memory: with less, another has it
PORT = "{port}"  # in a command: the port to listen on
POLL_S = 0.2


class EngineOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine is started that serves the job's base model, and no adapter yet."""

    command: list[str]  # one part is {port}
    environment: dict[str, str] = {}  # besides the job's own
    on_gpu: bool = False  # else on the processor
    always: bool = False  # also where there is little room
    timeout_s: float = 600.0  # until it answers


class FreeGpu(NamedTuple):
    """A GPU's memory."""

    number: int
    free: float
    total: float


def place(order: EngineOrder, free_gb: float, gpus: Sequence[FreeGpu]) -> dict[str, str] | None:
    """Return the variables that give the engine its place; None where there is no room for it.

    >>> cpu, gpu = EngineOrder(command=[]), EngineOrder(command=[], on_gpu=True)
    >>> place(cpu, 16.0, []), place(cpu, 64.0, []), place(gpu, 16.0, [FreeGpu(0, 9.0, 80.0), FreeGpu(1, 79.0, 80.0)])
    (None, {}, {'CUDA_VISIBLE_DEVICES': '1'})
    """
    if not order.on_gpu:
        return {} if order.always or free_gb > LEAST_GB else None
    best = max(gpus, key=lambda each: each.free / each.total, default=None)
    if best is None or (best.free < FREE_SHARE * best.total and not order.always):
        return None
    return {"CUDA_VISIBLE_DEVICES": str(best.number)}


@contextmanager
def own_engine(order: EngineOrder | None, output: Path) -> Iterator[str | None]:
    """Run the engine and give its address; None where none is ordered, or there is no room for it. Its output goes to a
    file. Raise EvaluationRefused where it does not answer in time."""
    found = None if order is None else place(order, psutil.virtual_memory().available / 2**30, free_gpus())
    if order is None or found is None:
        yield None
        return
    port = _free_port()
    command = [each.replace(PORT, str(port)) for each in order.command]
    environment = {**os.environ, **order.environment, **found}
    with output.open("ab") as file:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "retrain.evaluation.engine.keeper", *command],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        log.info("an engine of the evaluation's own starts", url=url, output=str(output))
        _await(keeper, url, order.timeout_s, output)
        yield url
    finally:
        _end(keeper)


def free_gpus() -> list[FreeGpu]:
    """Return the GPUs that the driver lists; none where there is no driver."""
    if not shutil.which("nvidia-smi"):
        return []
    asked = ["nvidia-smi", "--query-gpu=index,memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True)
        rows = [line.split(",") for line in done.stdout.splitlines() if line.strip()]
        return [FreeGpu(int(number), float(free), float(total)) for number, free, total in rows]
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        log.warning("the GPUs cannot be listed", why=str(error))
        return []


def _await(keeper: subprocess.Popen[bytes], url: str, timeout_s: float, output: Path) -> None:
    deadline = time.monotonic() + timeout_s
    while not _healthy(url):
        if (status := keeper.poll()) is not None:
            raise EvaluationRefused(f"the evaluation's own engine ended with status {status}; see {output}")
        if time.monotonic() > deadline:
            raise EvaluationRefused(f"the evaluation's own engine did not answer within {timeout_s:g} s; see {output}")
        time.sleep(POLL_S)


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as reply:  # noqa: S310 - our own http address
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _end(keeper: subprocess.Popen[bytes]) -> None:
    if keeper.stdin is not None:
        keeper.stdin.close()
    try:
        keeper.wait(GRACE_S + 5)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
