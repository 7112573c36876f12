"""A real MLflow server as a process of its own; on SQLite and a folder, unless others are named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.stack.ports import free
from tests.support.waiting import wait

START_S = 600.0  # on a busy machine; PostgreSQL's tables alone take a minute
WITHOUT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # five processes more, for what no test asks for


@contextmanager
def served(folder: Path, port: int = 0, database: str = "", artifacts: str = "") -> Iterator[str]:
    """The address of a server whose database and artifacts are in the folder, unless named; it ends with the block."""
    port = port or free()[0]
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database or f"sqlite:///{folder / 'server.db'}"]
    command += ["--artifacts-destination", artifacts or str(folder / "a")]
    with (folder / "server.log").open("ab") as log:
        environment = {**os.environ, **WITHOUT}
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            wait(lambda: answers(uri) or process.poll() is not None, "MLflow", START_S)
            assert process.poll() is None, (folder / "server.log").read_text()[-4_000:]
            yield uri
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)  # the process that listens is a child
            process.wait(60)


def answers(uri: str) -> bool:
    """Whether it is there."""
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=1) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False
