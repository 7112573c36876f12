"""The doctor tries each alias's metric: its files, its function, its judge."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from deploy.config.settings import Config
from deploy.doctor.findings import Finding
from deploy.doctor.scoring import scoring
from deploy.stack.settings import StackSettings
from streams.scoring.settings import ByRubric, ScoringSettings
from tests.streams.support.judge_server import JudgeServer


def found(var: Path, metric: object) -> Finding:
    given = Config(StackSettings(var=var), scoring=ScoringSettings(metrics={"support": metric}))
    (finding,) = scoring(given)
    assert finding.name == "metric of support"
    assert not list(var.glob("scoring*")), "it changes nothing"
    return finding


@pytest.fixture
def rubric(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "rubric.md").write_text("Polite.")
    (tmp_path / "key").write_text("secret")
    settings = ByRubric(rubric=tmp_path / "rubric.md", url="http://127.0.0.1:9/v1", model="judge")
    return asdict(settings) | {"key_file": tmp_path / "key"}


def test_what_keeps_a_worker_from_starting_is_needed(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"type": "objekt"}')
    lost = found(tmp_path, {"callable": "no_such_module:score"})
    assert (lost.ok, lost.needed, "cannot be imported" in lost.detail) == (False, True, True)
    wrong = found(tmp_path, {"schema": str(tmp_path / "schema.json")})
    assert (wrong.ok, "at $.type: 'objekt'" in wrong.detail) == (False, True)
    assert found(tmp_path, "rouge_l").ok


async def test_a_judge_is_asked_for_its_models_with_its_key(tmp_path: Path, rubric: dict[str, Any]) -> None:
    async with JudgeServer().serving() as judge:
        well = await asyncio.to_thread(found, tmp_path, {**rubric, "url": judge.url})
        other = await asyncio.to_thread(found, tmp_path, {**rubric, "url": judge.url, "model": "another"})
        lost = await asyncio.to_thread(found, tmp_path, {**rubric, "url": f"{judge.url}/v2"})
    assert (well.ok, well.detail) == (True, f"judge at {judge.url} answers")
    assert (other.ok, other.needed, "has no model 'another'" in other.detail) == (False, False, True)
    assert "answers 404 when asked for its models" in lost.detail
    assert set(judge.keys) == {"Bearer secret"}


def test_a_judge_that_is_away_hinders_no_start(tmp_path: Path, rubric: dict[str, Any]) -> None:
    away = found(tmp_path, rubric)
    assert (away.ok, away.needed) == (False, False)
    assert "http://127.0.0.1:9/v1 cannot be asked" in away.detail
