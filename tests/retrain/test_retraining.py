"""One retraining from the lake to its verdict: a real (small) training, only the engine that answers is a fake."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.operator.rows import LabelledRow
from retrain.adapters import Adapter
from retrain.base_model import base_model_id
from retrain.card import pages
from retrain.card.card import ModelCard
from retrain.data import manifest
from retrain.first_adapter import first_adapter
from retrain.handover import Handover
from retrain.job import steps, worked
from retrain.job_files import DATASET, GATE, OUTCOME, STEPS, JobOutcome, JobSpec, command, concluded, write
from retrain.job_steps import Job
from retrain.settings import RetrainSettings
from retrain.training.recipe import SMALL
from retrain.training.tracking import client_of
from streams.events import Event, InferenceServed, RetrainRequested
from streams.identity import adapter_digest, adapter_key
from streams.lake.lake import Lake
from streams.messages import Message
from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings
from streams.proof import read as proof_in
from streams.topics import FEEDBACK, INFERENCE, Topic
from tests.retrain.data.test_labelled_rows import feedback, reply
from tests.retrain.support.engine import Engine
from tests.retrain.support.orders import here
from tests.streams.support.lakes import put
from tests.support.folder import in_folder
from tests.support.s3 import S3

pytestmark = pytest.mark.slow

ONSET = 200
FOLDER = StorageSettings()
TOOL = [Message("user", "how warm is it?"), Message("tool", "17 degrees")]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "quick.toml"
    text = SMALL.read_text()
    for old, new in (
        ("enabled = true ", "enabled = false "),
        ("min_steps = 40 ", "min_steps = 2 "),
        ("max_steps = 2000 ", "max_steps = 2 "),
        ("max_length = 512 ", "max_length = 128 "),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def served(number: int, **changes: object) -> InferenceServed:
    letters = "".join(chr(97 + (number * k) % 26) for k in (1, 3, 5, 7, 11, 17))
    return reply(number, input_messages=[Message("user", f"{letters} {number}")], **changes)


class World:
    """A champion, its lake, and a request to retrain it."""

    def __init__(self, var: Path, model: Path, recipe: Path, storage: StorageSettings = FOLDER) -> None:
        self.var, self.model, self.storage = var, model, storage
        self.settings = RetrainSettings(recipe=str(recipe), threads=1)
        rows = [LabelledRow(*row).example() for row in (("question one", "refund"), ("question two", "late"))] * 4
        self.champion: Adapter = first_adapter(
            rows,
            alias="support",
            model_dir=model,
            stored=Storage(storage, var),
            settings=self.settings,
            training=here,
        )
        self._parts: dict[Topic, int] = {}

    def copied(self, var: Path) -> World:
        """Return a world that begins as this one, in another folder."""
        shutil.copytree(self.var, var, dirs_exist_ok=True)
        other = copy(self)
        other.var, other._parts = var, {}
        other.champion = replace(self.champion, path=var / self.champion.path.relative_to(self.var))
        return other

    def put(self, topic: Topic, events: Sequence[Event]) -> None:
        first = self._parts.get(topic, 0)
        self._parts[topic] = first + len(events)
        lake = Lake.of(Storage(self.storage, self.var))
        put(lake, topic, events, first=first)

    def labelled(self, replies: Sequence[InferenceServed], origin: str = "random/app") -> None:
        """Replies with what the answer should have been: `a`, always."""
        self.put(INFERENCE, replies)
        self.put(FEEDBACK, [feedback(int(each.id[1:]), "a", origin=origin) for each in replies])

    def spec(self, engine: str, **changes: Any) -> JobSpec:
        request = RetrainRequested(
            id="r1",
            alias="support",
            champion=self.champion.version,
            time_ms=0,
            alarm_id="a1",
            since_ms=ONSET * 1_000,
            reason="labels prove harm",
        )
        given: dict[str, Any] = {
            "request": request,
            "settings": self.settings,
            "champion_digest": self.champion.digest,
            "model": self.model.as_uri(),
            "var": self.var,
            "storage": self.storage,
            "engine": engine,
            "metric": "exact_match",
        }
        return JobSpec(**{**given, **changes})

    async def job(self, **changes: Any) -> JobOutcome:
        """Its outcome, as the trainer reads it."""
        folder = self.var / "jobs" / "r1"
        folder.mkdir(parents=True, exist_ok=True)
        async with Engine(self.champion.digest).serving() as url:
            job = Job(self.spec(url, **changes), folder, Handover(None, folder), here)
            outcome = await asyncio.to_thread(worked, job)
        assert outcome is not None
        write(folder / "outcome.json", outcome)
        found = concluded(folder / "outcome.json")
        assert found == outcome
        return found


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory, model_dir: Path, recipe: Path, mlflow_tables: Path) -> World:
    """A champion with nothing else, trained once for all tests of a module: copy it."""
    world = World(tmp_path_factory.mktemp("beginning"), model_dir, recipe)
    shutil.rmtree(world.var / "mlflow")  # an experiment names its folder
    shutil.copytree(mlflow_tables, world.var / "mlflow")
    return world


@pytest.fixture
def world(tmp_path: Path, beginning: World) -> World:
    return beginning.copied(tmp_path)


async def test_trainer_and_replica_have_a_bucket_in_common_and_no_folder(
    s3: S3, tmp_path: Path, model_dir: Path, recipe: Path
) -> None:
    world = World(tmp_path / "trainer", model_dir, recipe, s3.storage(tmp_path.name))
    shutil.rmtree(world.var / "cache")  # the champion was made elsewhere
    world.labelled([served(number) for number in range(1, ONSET + 80)])
    outcome = await world.job()
    assert outcome.verdict is not None, outcome.problem
    replica = Storage(world.storage, tmp_path / "replica").trees()
    found = replica.fetch(adapter_key("support", outcome.digest))
    assert adapter_digest(found, base_model_id(model_dir)) == outcome.digest
    proof = proof_in(found)
    assert proof is not None, "a candidate comes with its proof of effect"
    assert (len(proof.rows), proof.tolerance) == (outcome.metrics["proof_rows"], outcome.metrics["proof_tolerance"])
    assert proof.rows or "its predecessor's" in proof.impossible
    assert manifest.load(replica, outcome.dataset_digest)[0].parts["train"].rows > 0
    assert manifest.trained_on(replica, outcome.candidate) != []
    assert not any((world.var / name).exists() for name in ("adapters", "datasets"))


def longer(recipe: Path, folder: Path) -> Path:
    """The recipe with four steps and a checkpoint after two."""
    text = recipe.read_text().replace("max_steps = 2 ", "max_steps = 4 ")
    (folder / "longer.toml").write_text(text.replace("checkpoint_steps = 20 ", "checkpoint_steps = 2 "))
    return folder / "longer.toml"


class Mortal(Handover):
    """Its machine dies once a checkpoint was given."""

    def give(self, now_s: float) -> None:
        Handover.give(self, now_s)
        if self.store is not None and list(self.store.list("jobs/r1/training")):
            raise ConnectionAbortedError("the machine is gone")


async def test_a_job_goes_on_on_another_machine_from_the_checkpoint(
    s3: S3, tmp_path: Path, model_dir: Path, recipe: Path
) -> None:
    world = World(tmp_path / "one", model_dir, longer(recipe, tmp_path), s3.storage(tmp_path.name))
    world.labelled([served(number) for number in range(1, ONSET + 80)])
    there, near = tmp_path / "another" / "jobs" / "r1", world.var / "jobs" / "r1"
    there.mkdir(parents=True)
    near.mkdir(parents=True)
    async with Engine(world.champion.digest).serving() as url:
        spec = world.spec(url)
        with pytest.raises(ConnectionAbortedError):
            await asyncio.to_thread(steps, Job(spec, near, Mortal.of(spec, near)))
        moved = msgspec.structs.replace(spec, var=tmp_path / "another")
        handover = Handover.of(moved, there)
        handover.take()
        outcome = await asyncio.to_thread(steps, Job(moved, there, handover))
    assert outcome is not None
    assert (there / "dataset").read_text() == (near / "dataset").read_text() == outcome.dataset_digest
    world.var = moved.var
    assert logged(world, outcome)["resumed_at"] >= 2


async def test_rows_that_cannot_be_used_are_set_aside_and_told(world: World) -> None:
    world.labelled([served(number) for number in range(1, ONSET)])
    odd = [
        reply(ONSET + 100, input_messages=TOOL),
        reply(ONSET + 101, input_messages=[Message("text", "[17 tokens]")], operation="completion"),
    ]
    long = [reply(ONSET + 110, input_messages=[Message("user", "zyx " * 50)])]
    world.labelled([*[served(number) for number in range(ONSET, ONSET + 80)], *odd, *long])
    outcome = await world.job()
    assert outcome.verdict is not None, outcome.problem
    assert outcome.verdict.status == "promote", outcome.verdict.reason
    dropped = manifest.load(in_folder(world.var), outcome.dataset_digest)[0].dropped
    assert dropped["a tool's answer, whose call is not kept"] == 1
    assert dropped["a prompt given as tokens, whose text is not known"] == 1
    assert outcome.metrics["filtered_rows"] == sum(dropped.values())
    metrics = outcome.metrics
    assert {"left_out_share", "untaught_share", "judged_left_out_share", "cut_candidate_share"} <= metrics.keys()
    seen = logged(world, outcome)
    assert {name: seen.get(name) for name in metrics} == pytest.approx(metrics, rel=1e-6, abs=1e-5)


async def test_a_retraining_without_most_of_its_fresh_rows_is_refused(world: World) -> None:
    """At first 151 of 167 rows were left out for their length, and the candidate was promoted."""
    world.labelled([served(number) for number in range(1, ONSET)])
    short = [served(number) for number in range(ONSET, ONSET + 20)]
    long = [
        reply(number, input_messages=[Message("user", f"{number * 7919} " * 30)])
        for number in range(ONSET + 20, ONSET + 170)
    ]
    world.labelled([*short, *long])
    outcome = await world.job()
    assert outcome.verdict is None
    assert "left out, at most 50% may be (retrain.max_left_out)" in outcome.problem
    assert "longer than the recipe's training.max_length" in outcome.problem


async def test_completions_are_taught_and_judged_on_without_a_chat_template(world: World) -> None:
    """At first such a retraining was refused: raw prompts were asked as a chat's."""
    given = [each.input_messages[0].content for each in map(served, range(1, ONSET + 80))]
    world.labelled([reply(n, input_messages=[Message("text", text)]) for n, text in enumerate(given, 1)])
    outcome = await world.job()
    assert outcome.verdict is not None, outcome.problem
    assert outcome.verdict.status == "promote", outcome.verdict.reason
    assert outcome.metrics["target_candidate"] == 1.0


async def test_the_model_card_stands_next_to_the_adapter_and_in_the_run(world: World) -> None:
    (world.var / "terms.toml").write_text('[gender]\nwomen = ["she"]\nmen = ["he"]\n')
    settings = replace(world.settings, fairness_file=str(world.var / "terms.toml"))
    tags = [{"language": "de" if number % 3 else "en"} for number in range(ONSET + 80)]
    asked = [served(number, tags=tags[number]) for number in range(1, ONSET + 80)]
    named = [
        msgspec.structs.replace(each, input_messages=[Message("user", f"she asks: {each.input_messages[0].content}")])
        for each in asked
    ]
    world.labelled(named)
    outcome = await world.job(settings=settings)
    assert outcome.verdict is not None, outcome.problem
    store = in_folder(world.var).store
    card = msgspec.json.decode(pages.kept(store, outcome.candidate), type=ModelCard)
    assert (card.version, card.digest, card.run) == (outcome.candidate, outcome.digest, outcome.mlflow_run)
    assert (card.data.digest, card.status) == (outcome.dataset_digest, outcome.verdict.status)
    assert {each.name for each in card.findings.fairness.groups} == {"language=de", "language=en"}
    assert [each.name for each in card.findings.fairness.swaps] == ["gender=women", "gender=men"]
    assert card.findings.measures.whole.candidate["score"] == 1.0
    page = pages.kept(store, outcome.candidate, pages.PAGE).decode()
    readme = pages.kept(store, outcome.candidate, pages.README).decode()
    assert not any(named[0].input_messages[0].content in text for text in (page, readme))
    assert readme.startswith("---\n")
    run = client_of(world.var / "mlflow")
    assert {each.path for each in run.list_artifacts(outcome.mlflow_run, "card")} == {
        f"card/{name}" for name in (pages.JSON, pages.README, pages.PAGE)
    }


async def test_the_third_attempt_at_the_same_harm_has_an_eighth_of_alpha(world: World) -> None:
    world.labelled([served(number) for number in range(1, ONSET + 80)])
    outcome = await world.job(attempt=3)
    assert outcome.gate is not None, outcome.problem
    assert outcome.gate.alpha == world.settings.alpha / 8


async def test_rows_labelled_during_the_training_are_judged_on(world: World) -> None:
    world.labelled([served(number) for number in range(1, ONSET)])
    world.labelled([served(number) for number in range(ONSET, ONSET + 12)])
    folder = world.var / "jobs" / "r1"
    folder.mkdir(parents=True)
    async with Engine(world.champion.digest).serving() as url:
        few = await asyncio.to_thread(steps, Job(world.spec(url), folder, Handover(None, folder), here))
        assert few is not None
        assert few.gate is not None
        (folder / GATE).unlink()  # as if it had been killed while it evaluated
        assert len(few.gate.target) == 6
        world.labelled([served(number) for number in range(ONSET + 12, ONSET + 60)])
        more = await asyncio.to_thread(steps, Job(world.spec(url), folder, Handover(None, folder), here))
    assert more is not None
    assert more.gate is not None
    assert more.dataset_digest == few.dataset_digest
    assert 6 < len(more.gate.target) <= 54
    assert (few.verdict and few.verdict.status, more.verdict and more.verdict.status) == ("inconclusive", "promote")


def logged(world: World, outcome: JobOutcome) -> dict[str, float]:
    """What MLflow has."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{world.var / 'mlflow' / 'mlflow.db'}")
    return dict(client.get_run(outcome.mlflow_run).data.metrics)


async def test_a_job_scores_by_the_aliass_own_function(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong answer has a half there: the champion is not taken for one that is wrong in all it says."""
    (world.var / "own_metric.py").write_text(
        "def score(request, answer, truth):\n    return 1.0 if answer['text'] == truth else 0.5\n"
    )
    monkeypatch.syspath_prepend(world.var)
    world.labelled([served(number) for number in range(1, ONSET + 80)])
    outcome = await world.job(metric={"callable": "own_metric:score"})
    assert outcome.gate is not None, outcome.problem
    assert set(outcome.gate.target) == {(1.0, 0.5)}
    assert outcome.verdict is not None
    assert outcome.verdict.status == "promote", outcome.verdict.reason


async def test_what_was_volunteered_is_taught_and_leaves_the_verdict_open(world: World) -> None:
    world.labelled([served(number) for number in range(1, ONSET + 80)], "volunteered/app")
    outcome = await world.job()
    assert outcome.verdict is not None, outcome.problem
    assert outcome.trained_rows > 0
    assert outcome.verdict.status == "inconclusive"
    assert "80 rows teach and do not judge: volunteered" in outcome.verdict.reason


async def test_audited_replies_without_a_label_are_asked_and_count_against_the_candidate(world: World) -> None:
    replies = [served(number, cohorts=["audit"]) for number in range(1, ONSET + 80)]
    world.labelled(replies[: ONSET + 50], "audit")
    world.put(INFERENCE, replies[ONSET + 50 :])
    outcome = await world.job()
    assert outcome.gate is not None, outcome.problem
    assert outcome.gate.missing["target"].count > 0
    assert set(outcome.gate.rests_on) == {"audit"}
    assert outcome.verdict is not None
    assert "judged by labels of replies that were chosen before their answer was known" in outcome.verdict.reason


async def test_each_step_is_a_command_that_goes_on_where_the_one_before_ended_and_is_done_once(world: World) -> None:
    world.labelled([served(number) for number in range(1, ONSET + 80)])
    folder, left = world.var / "jobs" / "r1", dict[str, set[str]]()
    async with Engine(world.champion.digest).serving() as url:
        write(folder / "job.json", world.spec(url))
        for name in STEPS:
            process = await asyncio.create_subprocess_exec(*command(str(folder), name))
            assert await process.wait() == 0
            left[name] = {path.name for path in folder.iterdir()}
            stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name in LEFT}
            again = await asyncio.to_thread(worked, Job(world.spec(url), folder, Handover(None, folder)), (name,))
            assert again is None or again.problem == ""
            assert {path: path.stat().st_mtime_ns for path in stamps} == stamps, f"{name} was done again"
    assert "candidate.json" not in left["prepare"]
    assert GATE not in left["train"]
    assert OUTCOME not in left["evaluate"]
    outcome = concluded(folder / OUTCOME)
    assert outcome is not None
    assert outcome.verdict is not None
    assert outcome.verdict.status == "promote"
    assert not (folder / "training").exists()


LEFT = (DATASET, "candidate.json", GATE, OUTCOME)
EARLY = {"train": "run the step prepare first", "evaluate": "run the step prepare first"}


@pytest.mark.parametrize("name", EARLY)
def test_a_step_before_its_time_says_which_comes_first(name: str, world: World) -> None:
    folder = world.var / "jobs" / "r1"
    outcome = worked(Job(world.spec("http://nowhere"), folder, Handover(None, folder), here), (name,))
    assert outcome is not None
    assert EARLY[name] in outcome.problem


async def test_another_machine_does_the_next_step_from_the_store_alone(
    s3: S3, tmp_path: Path, model_dir: Path, recipe: Path
) -> None:
    world = World(tmp_path / "0", model_dir, recipe, s3.storage(tmp_path.name))
    world.labelled([served(number) for number in range(1, ONSET + 80)])
    outcome = None
    async with Engine(world.champion.digest).serving() as url:
        for number, name in enumerate(STEPS, 1):
            spec = world.spec(url, var=tmp_path / str(number))
            folder = spec.var / "jobs" / "r1"
            folder.mkdir(parents=True)
            handover = Handover.of(spec, folder)
            handover.take()
            outcome = await asyncio.to_thread(steps, Job(spec, folder, handover, here), (name,))
            handover.end(concluded=False)
    assert outcome is not None
    assert outcome.verdict is not None
    assert outcome.verdict.status == "promote"
