"""A real MLflow server on SQLite, as a process of its own."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.stack.ports import free
from tests.support.waiting import wait


@contextmanager
def served(folder: Path, port: int = 0) -> Iterator[str]:
    """The address of a server whose database and artifacts are in the folder; it ends with the block."""
    port = port or free()[0]
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--artifacts-destination", str(folder / "a")]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen([*command, *places], stdout=log, stderr=log, start_new_session=True)
        try:
            wait(lambda: answers(uri), "MLflow", 180)
            yield uri
        finally:
            process.terminate()
            process.wait(30)


def answers(uri: str) -> bool:
    """Whether it is there."""
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=1) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False
