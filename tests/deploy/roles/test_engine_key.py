"""A side-car shows its engine the engine's key, in all that it asks; one that cannot read it does not start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.config.toml import dump
from deploy.stack import ports
from tests.deploy.support.asked_engine import asked_engine
from tests.support.waiting import wait

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


def replica(folder: Path, engine: str, key: Path) -> subprocess.Popen[bytes]:
    port, probes = ports.free(2)
    parts: dict[str, dict[str, object]] = {
        "stack": {"var": str(folder / "var"), "embedded_kafka": False, "model_id": "llama@0123456789ab"},
        "kafka": {"bootstrap": "127.0.0.1:1"},
        "replica": {
            "engine": engine,
            "engine_key_file": str(key),
            "port": port,
            "metrics_port": probes,
            "drain_delay_s": 0.0,
        },
    }
    path = folder / "homeostat.toml"
    path.write_text(dump(parts))
    command = [sys.executable, "-m", "deploy.cli", "run", "replica", "--config", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)


def test_the_engine_is_shown_its_key_and_a_new_one_without_a_restart(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret\n")
    with asked_engine() as (url, shown):
        process = replica(tmp_path, url, key)
        try:
            wait(lambda: shown or process.poll() is not None, what="the engine to be asked")
            assert set(shown) == {"Bearer s3cret"}, (tmp_path / "log").read_text()
            key.write_text("another\n")
            wait(lambda: shown[-1] == "Bearer another", what="the new key")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def test_a_key_that_cannot_be_read_is_named_at_the_start(tmp_path: Path) -> None:
    process = replica(tmp_path, "http://127.0.0.1:1", tmp_path / "none")
    assert process.wait(timeout=60) == 1
    assert f"replica.engine_key_file: {tmp_path / 'none'} cannot be read" in (tmp_path / "log").read_text()
