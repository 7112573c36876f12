"""A job's order, its progress and its outcome: three files in the job's folder, between a trainer and its job.

The trainer imports this module and not the job, which loads PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from retrain.evaluation.gate import GateInput, GateVerdict
from retrain.settings import RetrainSettings
from streams.events import Json, RetrainRequested
from streams.files import put
from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings
from streams.objects.tree import Trees
from streams.scoring.scorer import Scorer

SPEC, PROGRESS, OUTCOME = "job.json", "progress.json", "outcome.json"
T = TypeVar("T")


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a job needs to know. Paths are absolute."""

    request: RetrainRequested
    settings: RetrainSettings
    champion_digest: str
    model_dir: Path
    var: Path  # mlflow lies beneath; lake, adapters and datasets too unless `storage` says otherwise
    storage: StorageSettings = msgspec.field(default_factory=StorageSettings)
    engine: str  # the address of the replica that answers the evaluation's questions
    label_wait_s: int = 604_800  # a label is waited for so long (`labels.wait_s`)
    metric: Json  # how an answer is scored: a name or a table, as in `scoring.metrics`
    judge: Json = None  # a judge model that scores rows without a label, as `scoring.judges` has it; none: no judge
    judge_may_promote: bool = False  # as `policy.judge_may_promote` has it
    attempt: int = 1  # verdicts that were sought for the same harm, this one included
    parent: int  # the trainer's process; the job ends when that does

    def trees(self) -> Trees:
        """Open the store of adapters and datasets."""
        return Storage(self.storage, self.var).trees()

    def scorer(self) -> Scorer:
        """Make the scorer of the answers."""
        return Scorer.of(self.metric, self.request.alias, self.var)

    def judged_by(self) -> Scorer | None:
        """Make the scorer of rows without a label; None where there is no judge."""
        at = f"scoring.judges.{self.request.alias}"
        return None if self.judge is None else Scorer.of(self.judge, self.request.alias, self.var, at)


class TrainingProgress(msgspec.Struct, frozen=True):
    """The training's steps so far, and its loss."""

    step: int
    steps: int
    loss: float


class JobOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How it went. `problem`: why it failed; nothing else is there then but what was known before."""

    candidate: str = ""
    digest: str = ""
    trained_rows: int = 0
    dataset_digest: str = ""
    mlflow_run: str = ""
    metrics: dict[str, float] = {}
    gate: GateInput | None = None
    verdict: GateVerdict | None = None
    problem: str = ""


def write(path: Path, value: JobSpec | JobOutcome) -> None:
    """Write the file as a whole."""
    put(path, msgspec.json.format(msgspec.json.encode(value, enc_hook=str)))


def read(path: Path, kind: type[T]) -> T | None:
    """Return the content of a file; None where there is no such file, or none that can be read: after a crash or on a
    full disk the trainer writes it again, or its reader does without."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind, dec_hook=lambda wanted, value: wanted(value))
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None


def concluded(path: Path) -> JobOutcome | None:
    """Return the outcome in a file; None where none can be read, or where it says neither a verdict nor a problem."""
    found = read(path, JobOutcome)
    return found if found is not None and (found.problem or (found.verdict and found.gate)) else None
