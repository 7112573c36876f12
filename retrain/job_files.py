"""A job's description, its progress and what its steps leave: small files in the job's folder and in the store.

The trainer imports this module and not the job's steps, which load PyTorch."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from monitor.canonical import UNREADABLE
from retrain.evaluation.engine.own import EngineOrder
from retrain.evaluation.gate import GateInput, GateVerdict
from retrain.settings import RetrainSettings, TrackingSettings, of_request
from retrain.training import recipe
from retrain.training.recipe import Recipe
from streams.engine_access import EngineAccess
from streams.events import Json, RetrainRequested
from streams.files import put
from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings
from streams.objects.tree import Trees
from streams.scoring.scorer import Scorer
from streams.scoring.settings import ScoringSettings
from streams.telemetry.settings import LogFormat

SPEC, PROGRESS, OUTCOME = "job.json", "progress.json", "outcome.json"
DATASET, RUN, CANDIDATE, GATE = "dataset", "mlflow_run", "candidate.json", "scores.json"  # what steps leave to the next
FINDINGS = "findings.json"  # likewise: what the model card says of the answers
TRAINING = "training"  # the folder of the training's order, checkpoint, adapter and result
JOBS = "jobs"  # the prefix of all that in the store, and the folder of the jobs' folders
GIVEN = "HOMEOSTAT_JOB"  # variable with the description, for a job whose folder is empty at its start
Step = Literal["prepare", "train", "evaluate", "judge"]
STEPS: tuple[Step, ...] = ("prepare", "train", "evaluate", "judge")
T = TypeVar("T")


class JobResources(msgspec.Struct, frozen=True, kw_only=True):
    """What a job asks of whatever runs it."""

    cpus: float = 0.0  # processor cores; 0: as the runner likes
    memory_gb: float = 0.0  # likewise
    gpus: int = 0  # each has a process of the training; 0 and 1: one process, on a GPU where there is one


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The description of one retraining's job: all that a runner needs to start it, and that its steps need to work,
    here or elsewhere."""

    request: RetrainRequested  # its id is the job's
    settings: RetrainSettings  # what is to be made, and what it must prove
    recipe: dict[str, Json] = {}  # all knobs of the training; empty: those that `settings.recipe` names
    champion_digest: str  # of the adapter to compare with, in the store
    model: str  # URI of the base model's folder
    storage: StorageSettings = msgspec.field(
        default_factory=StorageSettings
    )  # lake, adapters, datasets, jobs; no secret
    var: Path  # a folder of the machine that works, for what it fetches and may lose; MLflow's, unless a server is set
    engine: str  # URL of the replica that answers the evaluation's questions, unless it has an engine of its own
    engine_access: EngineAccess | None = None  # how that replica is reached, where others run it; none: by its URL
    own_engine: EngineOrder | None = None  # how that is started, where the machine has room; none: it never is
    label_wait_s: int = 604_800  # a label is waited for so long (`labels.wait_s`)
    metric: Json  # how an answer is scored: a name or a table, as in `scoring.metrics`
    judge: Json = None  # a judge model that scores rows without a label, as `scoring.judges` has it; none: no judge
    judge_may_promote: bool = False  # as `policy.judge_may_promote` has it
    attempt: int = 1  # verdicts that were sought for the same harm, this one included
    image: str = ""  # of the container, where the runner starts one; it has homeostat[retrain]
    resources: JobResources = msgspec.field(default_factory=JobResources)
    timeout_s: float = 21_600.0  # a job that takes longer has failed
    tracking: str = ""  # MLflow's address (`tracking.uri`), where the job's environment names none; empty: in `var`
    artifacts: str = ""  # where MLflow's runs that begin here keep their files (`tracking.artifacts`)
    secrets: dict[str, str] = {}  # variable -> "env:NAME" or "file:/path", where the runner finds its value
    logs: LogFormat = "text"  # how the job writes its log (`logs.format`)
    parent: int = 0  # the process that the job ends with; 0: whoever started it may go

    @property
    def model_dir(self) -> Path:
        """The base model's folder on this machine."""
        return self.stored().local(self.model, self.var)

    @property
    def knobs(self) -> Recipe:
        """The recipe. Raise RecipeError where it cannot be used."""
        if self.recipe:
            return recipe.parse(self.recipe)
        return recipe.find(self.settings.recipe, self.settings.max_lora_rank)

    def stored(self) -> Storage:
        """Return the store of lake, adapters, datasets and jobs."""
        return Storage(self.storage, self.var)

    def trees(self) -> Trees:
        """Open the store of adapters and datasets."""
        return self.stored().trees()

    def scorer(self) -> Scorer:
        """Make the scorer of the answers."""
        return Scorer.of(self.metric, self.request.alias, self.var)

    def judged_by(self) -> Scorer | None:
        """Make the scorer of rows without a label; None where there is no judge."""
        at = f"scoring.judges.{self.request.alias}"
        return None if self.judge is None else Scorer.of(self.judge, self.request.alias, self.var, at)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerPaths:
    """A trainer's folders, store, engine and MLflow, its aliases' metrics and judges, and how long labels may take."""

    model_dir: Path
    var: Path
    engine: str
    engine_access: EngineAccess | None = None
    storage: StorageSettings = field(default_factory=StorageSettings)
    scoring: ScoringSettings = field(default_factory=ScoringSettings)
    label_wait_s: int = 604_800
    judge_may_promote: bool = False
    own_engine: EngineOrder | None = None
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    logs: LogFormat = "text"

    def job(self, request: RetrainRequested, champion_digest: str, settings: RetrainSettings, attempt: int) -> JobSpec:
        """Return the description of a request's job. Raise RecipeError where its recipe cannot be used."""
        stored, tracking = Storage(self.storage.absolute(), self.var.resolve()), self.tracking
        return JobSpec(
            request=request,
            settings=of_request(settings, forgets=bool(request.forgets), adopts=bool(request.adopts)),
            recipe=asdict(recipe.find(settings.recipe, settings.max_lora_rank)),
            champion_digest=champion_digest,
            model=self.model_dir.resolve().as_uri(),
            var=stored.var,
            storage=replace(stored.settings, url=stored.settings.url or stored.uri("").rstrip("/")),
            engine=self.engine,
            engine_access=self.engine_access,
            own_engine=self.own_engine,
            metric=self.scoring.given(request.alias),
            label_wait_s=self.label_wait_s,
            judge=self.scoring.given_judge(request.alias),
            judge_may_promote=self.judge_may_promote,
            attempt=attempt,
            resources=JobResources(gpus=settings.gpus),
            timeout_s=settings.timeout_s,
            tracking=tracking.uri,
            artifacts=tracking.artifacts,
            logs=self.logs,
            secrets=settings.secrets,
        )


class TrainingProgress(msgspec.Struct, frozen=True):
    """The training's steps so far, and its loss."""

    step: int
    steps: int
    loss: float


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """What the step `train` leaves: the adapter in the store, and the training's figures."""

    version: str
    digest: str
    dataset: str  # digest of the dataset that it was trained on
    rows: int
    figures: dict[str, float]
    notes: list[str] = []  # of the training: limits that were met, parts of the model that were left out


class JobOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How it went. `problem`: why it failed; nothing else is there then but what was known before."""

    candidate: str = ""
    digest: str = ""
    trained_rows: int = 0
    dataset_digest: str = ""
    mlflow_run: str = ""
    metrics: dict[str, float] = {}
    notes: list[str] = []
    gate: GateInput | None = None
    verdict: GateVerdict | None = None
    problem: str = ""


def command(folder: str, step: Step | Literal["all"] = "all", python: str = sys.executable) -> list[str]:
    """Return the command of one step, or of all that are left, on the job in a folder.

    >>> command("/jobs/r1", "judge", "python")
    ['python', '-m', 'retrain.job', 'judge', '/jobs/r1']
    """
    return [python, "-m", "retrain.job", step, folder]


def write(path: Path, value: msgspec.Struct) -> None:
    """Write the file as a whole."""
    put(path, msgspec.json.format(msgspec.json.encode(value, enc_hook=str)))


def read(path: Path, kind: type[T]) -> T | None:
    """Return the content of a file; None where there is no such file, or none that can be read: after a crash or on a
    full disk the trainer writes it again, or its reader does without."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind, dec_hook=lambda wanted, value: wanted(value))
    except (OSError, *UNREADABLE):
        return None


def concluded(path: Path) -> JobOutcome | None:
    """Return the outcome in a file; None where none can be read, or where it says neither a verdict nor a problem."""
    found = read(path, JobOutcome)
    return found if found is not None and (found.problem or (found.verdict and found.gate)) else None
