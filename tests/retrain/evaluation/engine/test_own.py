"""An engine of the evaluation's own: started where there is room, and gone with the job, however that ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from retrain.data.dataset import Dataset
from retrain.evaluation.comparison import compare
from retrain.evaluation.engine.own import EngineOrder, FreeGpu, own_engine, place
from retrain.evaluation.evaluate import EvaluationRefused
from retrain.evaluation.gate import judge
from retrain.settings import RetrainSettings
from streams.scoring.scorer import Scorer
from tests.retrain.support.rows import rows
from tests.support.waiting import wait

EXACT = Scorer.of("exact_match", "support", Path("."))
WON = ("new-1", Path("/adapters/good")), ("old-1", Path("/adapters/bad"))
PROGRAM = [sys.executable, "-m", "tests.retrain.support.engine_process", "{port}"]
STARTER = """
import sys, time
from pathlib import Path
from retrain.evaluation.engine.own import EngineOrder, own_engine
with own_engine(EngineOrder(command=sys.argv[2:], always=True), Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(60)
"""


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@pytest.mark.slow
def test_candidates_are_judged_on_it_and_it_ends_with_the_evaluation(tmp_path: Path) -> None:
    dataset = Dataset([], [], rows(60, "a"), rows(200, "a", first=700), {})
    with own_engine(EngineOrder(command=PROGRAM, always=True), tmp_path / "log") as url:
        assert url is not None
        gate = asyncio.run(compare(RetrainSettings(), url, dataset, EXACT, *WON))
    assert judge(gate).status == "promote"
    assert not answers(url)


@pytest.mark.slow
def test_it_ends_with_a_job_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(tmp_path / "log"), *PROGRAM]
    starter = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    url = next(line.strip() for line in starter.stdout if line.startswith("http"))
    assert answers(url)
    starter.kill()
    starter.wait()
    starter.stdout.close()
    wait(lambda: not answers(url), "the engine has ended", 20)


@pytest.mark.slow
def test_one_that_does_not_start_says_where_its_output_is(tmp_path: Path) -> None:
    order = EngineOrder(command=[*PROGRAM, "broken"], always=True)
    with pytest.raises(EvaluationRefused, match="ended with status 7"), own_engine(order, tmp_path / "log"):
        pass


def test_there_is_none_where_there_is_no_room(tmp_path: Path) -> None:
    gpu, gpus = EngineOrder(command=[], on_gpu=True), [FreeGpu(0, 10.0, 80.0), FreeGpu(1, 70.0, 80.0)]
    assert place(gpu, 500.0, gpus) is None
    assert place(EngineOrder(command=[], on_gpu=True, always=True), 500.0, gpus) == {"CUDA_VISIBLE_DEVICES": "1"}
    assert place(EngineOrder(command=[], on_gpu=True, always=True), 500.0, []) is None
    assert place(EngineOrder(command=[]), 32.0, []) is None
    with own_engine(None, tmp_path / "log") as url:
        assert url is None
    assert not (tmp_path / "log").exists()
