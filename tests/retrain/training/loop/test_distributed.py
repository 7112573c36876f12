"""Several processes train one adapter: each has its share of the rows, and what comes out is what one makes alone."""

from __future__ import annotations

import json
import socket
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from retrain.training.batches import shares
from retrain.training.train import train
from tests.retrain.support.forks import forked
from tests.retrain.support.rank_process import knobs, train_share
from tests.retrain.support.trainings import ROWS

STEPS = 3


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
    counts, losses = together(4, model_dir, tmp_path / "together", batch=8)
    assert counts == [STEPS * 8 // 4] * 4
    same_as_alone(model_dir, tmp_path, losses, batch=8)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_each_of_four_processes_gets_rows_where_there_are_fewer_rows_than_processes(
    model_dir: Path, tmp_path: Path
) -> None:
    counts, losses = together(4, model_dir, tmp_path / "together", batch=8, rows=3)
    assert counts == [2 * STEPS, 2 * STEPS, STEPS, STEPS]  # three rows, each twice
    same_as_alone(model_dir, tmp_path, losses, batch=8, rows=3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_processes_with_half_the_batch_each_have_the_losses_of_one(model_dir: Path, tmp_path: Path) -> None:
    counts, losses = together(2, model_dir, tmp_path / "together", batch=4, accumulation=2)
    assert counts == [STEPS * 4] * 2
    same_as_alone(model_dir, tmp_path, losses, batch=8)


def together(
    world: int, model_dir: Path, out: Path, *, batch: int, accumulation: int = 1, rows: int = 16
) -> tuple[list[int], list[float]]:
    """The rows that each of the processes had, and the losses of the steps."""
    out.mkdir()
    port, numbers = free_port(), (batch, accumulation, STEPS, rows)
    processes = [start(rank, world, port, model_dir, out, *numbers) for rank in range(world)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * world
    counts = [int((out / f"rank-{rank}").read_text()) for rank in range(world)]
    return counts, json.loads((out / "losses").read_text())


def same_as_alone(model_dir: Path, tmp_path: Path, losses: list[float], *, batch: int, rows: int = 16) -> None:
    found: list[float] = []
    given = (ROWS[:rows], model_dir, knobs(batch, STEPS), tmp_path / "alone")
    alone = train(*given, threads=1, progress=lambda *at: found.append(at[2]))
    assert losses == pytest.approx(found, abs=1e-3)
    one, many = (
        load_file(folder / "adapter_model.safetensors") for folder in (alone.folder, tmp_path / "together/adapter")
    )
    assert all(abs(one[name] - many[name]).max() < 1e-4 for name in one)


def start(rank: int, world: int, port: int, model_dir: Path, out: Path, *numbers: int) -> BaseProcess:
    """As `torchrun` starts one."""
    environment = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1"}
    known = {name: str(value) for name, value in environment.items()}
    return forked(train_share, model_dir, out, *numbers, **known, MASTER_PORT=str(port))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
