"""Several processes train one adapter: each has its share of the rows, and what comes out is what one makes alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from retrain.training.batches import shares
from retrain.training.train import train
from tests.retrain.support.rank_process import ROWS, knobs

WORLD, STEPS = 4, 3


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 8))
def test_a_steps_rows_are_shared_evenly_and_each_is_done_once(rows: int, size: int, world: int) -> None:
    pieces = [shares(range(rows), size, rank, world) for rank in range(world)]
    counts = [sum(map(len, each)) for each in pieces]
    assert max(counts) - min(counts) <= 1
    assert all(0 < len(piece) <= size for each in pieces for piece in each)
    assert sorted(row for each in pieces for piece in each for row in piece) == list(range(rows))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_each_of_four_processes_gets_rows_with_the_default_recipe(model_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "together"
    out.mkdir()
    processes = [start(rank, model_dir, out) for rank in range(WORLD)]
    assert [process.wait() for process in processes] == [0] * WORLD
    counts = [int((out / f"rank-{rank}").read_text()) for rank in range(WORLD)]
    assert counts == [STEPS * 8 // WORLD] * WORLD
    alone = train(ROWS, model_dir, knobs(8, STEPS), tmp_path / "alone", threads=1)
    one, four = (load_file(folder / "adapter_model.safetensors") for folder in (alone.folder, out / "adapter"))
    assert all(abs(one[name] - four[name]).max() < 1e-4 for name in one)


def start(rank: int, model_dir: Path, out: Path) -> subprocess.Popen[bytes]:
    """As `torchrun` starts one."""
    environment = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(WORLD), "MASTER_ADDR": "127.0.0.1"}
    environment |= {"MASTER_PORT": str(PORT), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [
        "nice",
        sys.executable,
        "-m",
        "tests.retrain.support.rank_process",
        str(model_dir),
        str(out),
        "8",
        str(STEPS),
    ]
    return subprocess.Popen(command, env=os.environ | environment)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


PORT = free_port()


@pytest.mark.slow
def test_more_processes_than_rows_a_step_are_refused(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrain.training.train.ProcessGroup.of", lambda *_: Many())
    with pytest.raises(ValueError, match=r"batch_size = 2 .* give 2 rows a step for 4 devices"):
        train(ROWS, model_dir, knobs(2, STEPS), tmp_path)


class Many:
    """Four devices."""

    count = WORLD
