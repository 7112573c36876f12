"""The steps of one retraining: prepare, train, evaluate, judge. Each may be killed and done again, here or on another
machine that has what the steps before have left in the store."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import structlog

from monitor.flat_table import flat
from retrain.adapters import commit
from retrain.base_model import base_model_id, check_model
from retrain.card import pages
from retrain.card.card import ModelCard
from retrain.card.findings import Findings
from retrain.card.measures import figures
from retrain.data import manifest
from retrain.data.dataset import Dataset
from retrain.data.manifest import Manifest
from retrain.evaluation.comparison import check_settings
from retrain.evaluation.gate import GateInput, judge
from retrain.evaluation.pairs import summary
from retrain.handover import Handover
from retrain.job_evaluation import card_of, evaluated, stored_champion
from retrain.job_files import (
    CANDIDATE,
    FINDINGS,
    GATE,
    PROGRESS,
    RUN,
    TRAINING,
    Candidate,
    JobOutcome,
    JobSpec,
    TrainingProgress,
    read,
    write,
)
from retrain.job_rows import dataset_of, known_dataset
from retrain.registry import origins
from retrain.registry.origins import made_by
from retrain.training import tracking
from retrain.training.backends.contract import ADAPTER, OnStep, TrainingOrder, TrainingResult, write_order
from retrain.training.backends.process import run_training
from retrain.training.figures import filtered, training_figures
from retrain.training.prompting import load_tokenizer
from retrain.training.tracking import TrackedRun
from streams.files import put
from streams.identity import adapter_key, version_name

log = structlog.get_logger()

ADOPTED = "made elsewhere; nothing was trained"


ENGINE_LOG = "engine.log"  # what an engine of the evaluation's own writes


class StepMissing(ValueError):
    """A step was asked for before the one that it follows."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job in its folder. `training` trains what is ordered in a folder, in so many processes."""

    spec: JobSpec
    folder: Path
    handover: Handover
    training: Callable[[Path, int, OnStep], TrainingResult] = run_training

    def dataset(self) -> tuple[Manifest, Dataset]:
        """Return what `prepare` made. Raise StepMissing where there is none."""
        found = known_dataset(self.spec, self.folder)
        if found is None:
            raise StepMissing(f"{self.folder}: no dataset yet; run the step prepare first")
        return found

    def candidate(self) -> Candidate | None:
        """Return what `train` made of the dataset; None where there is nothing yet."""
        found, dataset = read(self.folder / CANDIDATE, Candidate), known_dataset(self.spec, self.folder)
        return found if found is not None and dataset is not None and found.dataset == dataset[0].digest else None

    def gate(self) -> GateInput | None:
        """Return what `evaluate` found of the candidate; None where there is nothing yet."""
        found, candidate = read(self.folder / GATE, GateInput), self.candidate()
        return found if found is not None and candidate and found.candidate == candidate.version else None


def prepare(job: Job) -> None:
    """Make the dataset. Raise whatever keeps the job from training: model, recipe, champion or rows."""
    spec = job.spec
    check_model(spec.model_dir)
    check_settings(spec.settings, spec.request.alias)
    asdict(spec.knobs)
    stored_champion(spec)
    dataset_of(spec, job.folder, _base(spec), load_tokenizer(spec.model_dir))


def train(job: Job) -> None:
    """Train the candidate and put it into the store. Raise whatever keeps it from an adapter."""
    listed, _ = job.dataset()
    if job.candidate() is not None:
        _clear(job)
        return
    spec, trees, base, warm = job.spec, job.spec.trees(), _base(job.spec), _warm(job.spec)
    stored_champion(spec)
    if spec.request.adopts:
        _adopt(job, listed)
        return
    folder = job.folder / TRAINING
    write_order(folder, _order(spec, listed, warm=warm))
    with _tracked(job, listed) as run:
        result = job.training(folder, spec.resources.gpus, _reporter(job, run))
        adapter = commit(folder / ADAPTER, trees, spec.request.alias, base)
        parent = spec.request.champion if warm else ""
        manifest.remember(trees, adapter.version, listed.digest, parent)
        origins.remember(trees, made_by(spec.request, adapter, base, dataset=listed.digest, parent=parent, run=run.id))
        run.artifacts(adapter.path, "adapter")
    made = Candidate(
        version=adapter.version,
        digest=adapter.digest,
        dataset=listed.digest,
        rows=result.rows,
        figures=training_figures(result),
        notes=result.notes,
    )
    write(job.folder / CANDIDATE, made)
    _clear(job)


def _adopt(job: Job, listed: Manifest) -> None:
    """Leave the adapter made elsewhere as the candidate: nothing is trained, and all rows of the dataset judge it."""
    request, trees = job.spec.request, job.spec.trees()
    version = version_name(request.alias, request.adopts)
    with _tracked(job, listed) as run:
        manifest.remember_judged(trees, version, listed.digest)
        run.artifacts(trees.fetch(adapter_key(request.alias, request.adopts)), "adapter")
    write(
        job.folder / CANDIDATE,
        Candidate(version=version, digest=request.adopts, dataset=listed.digest, rows=0, figures={}, notes=[ADOPTED]),
    )


def evaluate(job: Job) -> None:
    """Ask candidate and champion the dataset's rows, through the engine, once no other evaluation uses it. Raise where
    it does not answer."""
    listed, dataset = job.dataset()
    made = _required(job)
    if job.gate() is not None:
        return
    with _tracked(job, listed):
        gate, found = evaluated(job.spec, made, listed, dataset, job.folder / ENGINE_LOG)
    write(job.folder / FINDINGS, found)
    write(job.folder / GATE, gate)


def verdict(job: Job) -> JobOutcome:
    """Return the outcome: the gate's verdict on what was found."""
    made, gate = _required(job), job.gate()
    if gate is None:
        raise StepMissing(f"{job.folder}: no answers yet; run the step evaluate first")
    listed, dataset = job.dataset()
    found = made.figures | filtered(listed) | summary(gate)
    found["untaught_share"] = sum(gate.untaught.values()) / max(1, len(dataset.train))
    kept = {name: round(value, 6) for name, value in found.items() if math.isfinite(value)}
    given, findings = judge(gate), _found(job, made)
    with _tracked(job, listed) as run:
        _keep_card(job, run, card_of(job.spec, _base(job.spec), made, listed, gate, given, findings))
        parts = {f"{name}_rows": float(part.rows) for name, part in listed.parts.items()}
        run.metrics(figures(findings.measures) | parts | found)
        run.artifacts(manifest.located(job.spec.trees(), listed.digest), "dataset")
    return JobOutcome(
        candidate=made.version,
        digest=made.digest,
        trained_rows=made.rows,
        dataset_digest=listed.digest,
        mlflow_run=run.id,
        metrics=kept,
        notes=made.notes,
        gate=gate,
        verdict=given,
    )


def _found(job: Job, made: Candidate) -> Findings:
    """Return the evaluation's figures; none where they are lost, or another candidate's: the verdict needs them not."""
    found = read(job.folder / FINDINGS, Findings)
    return found if found is not None and found.candidate == made.version else Findings(candidate=made.version)


def _keep_card(job: Job, run: TrackedRun, card: ModelCard) -> None:
    """Put the model card next to the adapter and into the run."""
    made = pages.keep(job.spec.trees().store, msgspec.structs.replace(card, run=run.id))
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in made.items():
            (Path(scratch) / name).write_bytes(content)
        run.artifacts(Path(scratch), "card")


def _order(spec: JobSpec, listed: Manifest, *, warm: bool) -> TrainingOrder:
    settings, stored = spec.settings, spec.stored()
    champion = stored.uri(adapter_key(spec.request.alias, spec.champion_digest))
    return TrainingOrder(
        rows=stored.uri(manifest.dataset_key(listed.digest)),
        model=spec.model,
        recipe=asdict(spec.knobs),
        warm_start=champion if warm else "",
        fresh_passes=settings.fresh_passes,
        backend=settings.backend,  # type: ignore[arg-type]  # the settings have checked it
        command=list(settings.command),
        command_environment=list(settings.command_environment),
        packing=settings.packing,
        threads=settings.threads or max(1, (os.cpu_count() or 2) // 2),
        max_left_out=settings.max_left_out,
        predecessor="" if settings.champion_model else champion,
        engine_dtype=settings.engine_dtype,
        storage=spec.storage,
        var=str(spec.var),
    )


@contextmanager
def _tracked(job: Job, listed: Manifest) -> Iterator[TrackedRun]:
    """Open the job's run in MLflow; each step goes on in it."""
    spec, request = job.spec, job.spec.request
    parameters: dict[str, object] = {"dataset": listed.digest, "base_model": _base(spec), "champion": request.champion}
    parameters |= flat(asdict(spec.knobs))
    tags = {"request": request.id, "alarm": request.alarm_id, "reason": request.reason}
    name = f"{request.alias} {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(request.time_ms / 1000))}"
    with tracking.run(
        spec.var / "mlflow", request.alias, name, parameters, tags, job.folder / RUN, spec.artifacts
    ) as run:
        yield run


def _reporter(job: Job, run: TrackedRun) -> OnStep:
    def report(step: int, steps: int, loss: float) -> None:
        run.step(step, steps, loss)
        with suppress(OSError):  # progress is for show: no training ends for it
            put(job.folder / PROGRESS, msgspec.json.encode(TrainingProgress(step, steps, loss)))
        job.handover.give(time.monotonic())  # the dataset's name, and each checkpoint with the step after it

    return report


def _clear(job: Job) -> None:
    """Remove the training's folder, once its adapter is in the store."""
    shutil.rmtree(job.folder / TRAINING, ignore_errors=True)


def _required(job: Job) -> Candidate:
    found = job.candidate()
    if found is None:
        raise StepMissing(f"{job.folder}: no candidate of this dataset yet; run the step train first")
    return found


def _base(spec: JobSpec) -> str:
    return base_model_id(spec.model_dir, spec.var / "digests")


def _warm(spec: JobSpec) -> bool:
    warm = spec.knobs.training.warm_start == "champion"
    return warm and not spec.request.forgets and not spec.settings.champion_model
