"""Recipes compared on one dataset: trained by the contract, asked through an engine, gated against the best."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from deploy.operator.models.compare import shared_out
from deploy.operator.rows import LabelledRow
from retrain.choice.candidates import Contender
from retrain.choice.contest import Contest
from retrain.choice.decision import choose, shown
from retrain.data import manifest
from retrain.evaluation.engine.lease import EvaluationLease, LeaseLost
from retrain.evaluation.evaluate import EvaluationRefused
from retrain.settings import RetrainSettings
from streams.engine_access import EngineAccess
from streams.objects.opening import Storage
from streams.scoring.scorer import Scorer
from tests.retrain.support.engine import Engine
from tests.retrain.support.orders import here, recipe_file

pytestmark = pytest.mark.slow


def silent(step: int, steps: int, loss: float) -> None: ...


def test_the_smallest_that_is_not_worse_is_chosen_and_a_second_start_does_nothing_twice(
    model_dir: Path, tmp_path: Path
) -> None:
    """The fake engine knows the answers only under an adapter whose folder is `good`: the other is worse."""
    rows = [LabelledRow(f"question {number} {chr(97 + number % 26)}", "a").example() for number in range(120)]
    dataset = shared_out(rows, 0.5)
    assert (len(dataset.train), len(dataset.validation)) == (60, 60)
    stored, settings = Storage(var=tmp_path), RetrainSettings(threads=1)
    listed = manifest.store(stored.trees(), dataset, alias="support (compared)", base_model="", since_ms=0)
    contest = Contest(
        stored, listed.digest, dataset.validation, Scorer.of("exact_match", "support", tmp_path), settings, here
    )
    engine, asked = Named(), list[int]()
    sizes = {"tiny": 2, "small-good": 4, "large-good": 8}
    with engine.apart(75.0) as url:
        contenders = [
            Contender(name=name, recipe=str(ranked(tmp_path / name, r)), model=str(model_dir), engine=url)
            for name, r in sizes.items()
        ]
        for _ in range(2):
            found = [contest.entered(each, silent) for each in contenders]
            asked.append(len(engine.asked))
    choice = choose(found, dataset.validation, settings)
    assert asked == [180, 180]
    assert [(each.name, each.standing) for each in choice.placings] == [
        ("tiny", "worse"),
        ("small-good", "best"),
        ("large-good", "not worse"),
    ]
    assert choice.chosen == "small-good"
    assert found[1].adapter_parameters == 2 * found[0].adapter_parameters
    assert shown(found, choice)[0]["to the best"].startswith("-100.0 (")


def test_it_asks_only_once_no_other_evaluation_has_the_engine(model_dir: Path, tmp_path: Path) -> None:
    rows = [LabelledRow(f"question {number}", "a").example() for number in range(40)]
    dataset = shared_out(rows, 0.5)
    stored, settings = Storage(var=tmp_path), RetrainSettings(threads=1, lease_s=3.0)
    listed = manifest.store(stored.trees(), dataset, alias="support (compared)", base_model="", since_ms=0)
    scorer = Scorer.of("exact_match", "support", tmp_path)
    contest = Contest(stored, listed.digest, dataset.validation, scorer, settings, here)
    engine = Named()
    with engine.apart(75.0) as url:
        job = EvaluationLease(stored.objects(), url, "request-1", settings.lease_s)
        assert job.take()  # and is killed: it puts no further beat
        began = time.monotonic()
        recipe = str(ranked(tmp_path / "good", 2))
        found = contest.entered(Contender(name="good", recipe=recipe, model=str(model_dir), engine=url), silent)
    assert time.monotonic() - began > settings.lease_s
    assert len(found.scores) == len(dataset.validation)
    assert not job.renew()
    with pytest.raises(LeaseLost):
        job.check()


def test_an_engine_of_others_is_shown_its_key(model_dir: Path, tmp_path: Path) -> None:
    rows = [LabelledRow(f"question {number}", "a").example() for number in range(8)]
    dataset, key = shared_out(rows, 0.5), tmp_path / "key"
    key.write_text("s3cret\n")
    stored, settings = Storage(var=tmp_path), RetrainSettings(threads=1)
    listed = manifest.store(stored.trees(), dataset, alias="support (compared)", base_model="", since_ms=0)
    scorer, engine = Scorer.of("exact_match", "support", tmp_path), Named()
    engine.key = "s3cret"
    recipe = str(ranked(tmp_path / "good", 2))
    with engine.apart(75.0) as url:
        each = Contender(name="good", recipe=recipe, model=str(model_dir), engine=url)
        given = stored, listed.digest, dataset.validation, scorer, settings, here
        with pytest.raises(EvaluationRefused, match="/v1/models: status 401, expected 200"):
            Contest(*given).entered(each, silent)
        found = Contest(*given, {url: EngineAccess(url=url, key_file=key)}).entered(each, silent)
    assert len(found.scores) == len(dataset.validation)


class Named(Engine):
    """Knows an adapter by the folder of its candidate."""

    def __init__(self) -> None:
        super().__init__(champion="")

    async def load(self, request):  # type: ignore[no-untyped-def]
        body = await request.json()
        name = str(body["lora_path"]).removesuffix("/adapter")
        self.names[body["lora_name"]] = name
        from aiohttp import web

        return web.Response(text="ok")


def ranked(folder: Path, rank: int) -> Path:
    return recipe_file(folder, min_steps=2, max_steps=2, r=rank)
