"""One retraining, in a process of its own: `python -m retrain.job FOLDER`. Dataset, training, evaluation, verdict.

Everything it needs is in FOLDER/job.json, everything it found in FOLDER/outcome.json. Killed and started again it goes
on: with the same rows, from the training's last checkpoint, in the same MLflow run."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from monitor.metrics import METRICS
from retrain.adapters import Adapter, commit
from retrain.base_model import base_model_id, check_model, former_base_model_id
from retrain.data import labelled as harvest
from retrain.data import manifest
from retrain.data.dataset import NEWEST, Dataset, apart, build, capped, once
from retrain.data.example import Example
from retrain.data.likeness import Likeness
from retrain.data.manifest import Manifest
from retrain.evaluation.comparison import compare, summary
from retrain.evaluation.gate import judge
from retrain.evaluation.limits import context_of, limits
from retrain.job_files import JobOutcome, JobSpec, concluded, read, write
from retrain.training import recipe, tracking
from retrain.training.prompting import load_tokenizer
from retrain.training.teachable import usable
from retrain.training.train import Trained, lessons, train
from streams.files import locked, put
from streams.identity import adapter_digest, adapter_path

log = structlog.get_logger()

SPEC, OUTCOME, PROGRESS = "job.json", "outcome.json", "progress.json"
LOOK_S = 1.0


class Progress(msgspec.Struct, frozen=True):
    """How far the training is."""

    step: int
    steps: int
    loss: float


def main(folder: Path) -> int:
    """Works until there is an outcome; 0 where there is one, a failed retraining included."""
    spec = read(folder / SPEC, JobSpec)
    if spec is None:
        print(f"{folder / SPEC}: missing or unreadable; the trainer writes it", file=sys.stderr)
        return 2
    threading.Thread(target=_die_with, args=(spec.parent,), daemon=True).start()
    with locked(folder / "lock"):  # one that outlived its trainer ends within a second
        if concluded(folder / OUTCOME) is None:
            write(folder / OUTCOME, _outcome(spec, folder))
    return 0


def _outcome(spec: JobSpec, folder: Path) -> JobOutcome:
    try:
        return work(spec, folder)
    except Exception as error:  # the job's top: the trainer must hear of it
        log.exception("retraining failed", request=spec.request.id)
        return JobOutcome(problem=f"{type(error).__name__}: {error}")


def work(spec: JobSpec, folder: Path) -> JobOutcome:
    """Raises what keeps it from a verdict."""
    request, settings = spec.request, spec.settings
    check_model(spec.model_dir)
    knobs = recipe.find(settings.recipe)
    base = base_model_id(spec.model_dir, spec.var / "digests")
    champion, tokenizer = stored_champion(spec, base), load_tokenizer(spec.model_dir)
    listed, dataset = rows(spec, folder, base, tokenizer)
    taught = [row.lesson() for row in dataset.train]
    untaught = lessons(tokenizer, taught, knobs.training.max_length, settings.max_left_out).left_out
    parameters = {"dataset": listed.digest, "base_model": base, "champion": request.champion, **_flat(asdict(knobs))}
    tags = {"request": request.id, "alarm": request.alarm_id, "reason": request.reason}
    name = f"{request.alias} {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(request.time_ms / 1000))}"
    with tracking.run(spec.var / "mlflow", request.alias, name, parameters, tags, folder / "mlflow_run") as run:
        warm = champion if knobs.training.warm_start == "champion" else None
        trained = train(
            [row.lesson() for row in dataset.lessons(settings.fresh_passes)],
            spec.model_dir,
            knobs,
            folder / "training",
            warm_start=warm,
            threads=settings.threads or max(1, (os.cpu_count() or 2) // 2),
            progress=_teller(folder, run),
            max_left_out=settings.max_left_out,
        )
        adapter = commit(trained.folder, spec.var / "adapters", request.alias, base)
        manifest.remember(spec.var / "datasets", adapter.version, listed.digest, request.champion if warm else "")
        sides = ((adapter.version, adapter.path), (request.champion, champion))
        gate = asyncio.run(
            compare(
                settings,
                spec.engine,
                dataset,
                spec.metric,
                *sides,
                limits=limits(tokenizer, _all(dataset), settings.max_tokens, context_of(spec.model_dir)),
                later=partial(later, spec, listed, dataset, tokenizer),
                alpha=settings.alpha / 2 ** (spec.attempt - 1),
                evaluation=request.id,
                untaught=untaught,
            )
        )
        verdict = judge(gate)
        found = {
            "loss": trained.loss,
            "train_seconds": trained.seconds,
            "untaught_share": sum(untaught.values()) / len(dataset.train),
            **_shares(trained, listed),
            **summary(gate),
        }
        _keep(run, spec, listed, adapter, trained, found)
    return JobOutcome(
        candidate=adapter.version,
        digest=adapter.digest,
        trained_rows=trained.rows,
        dataset_digest=listed.digest,
        mlflow_run=run.id,
        metrics={name: round(value, 6) for name, value in found.items() if math.isfinite(value)},
        gate=gate,
        verdict=verdict,
    )


def rows(spec: JobSpec, folder: Path, base: str, tokenizer: Any) -> tuple[Manifest, Dataset]:
    """The dataset, of rows that the chat template takes; a job that is started again takes the one it had. Raises
    ValueError where too many of the fresh rows cannot be used."""
    root, note, request = spec.var / "datasets", folder / "dataset", spec.request
    known = _made(root, note)
    if known is not None:
        return known
    lake = spec.var / "lake"
    dropped: Counter[str] = Counter()
    found = harvest.fresh(lake, request.alias, request.since_ms)
    fresh = usable(tokenizer, found, dropped)
    _require_most(len(fresh), len(found), dropped, spec.settings.max_left_out)
    dataset = build(
        spec.settings,
        fresh,
        usable(tokenizer, harvest.healthy(lake, request.alias, request.since_ms, NEWEST), dropped),
        usable(tokenizer, manifest.trained_on(root, request.champion), dropped),
        METRICS[spec.metric],
        manifest.familiar(root, request.alias, request.champion, request.since_ms),
    )
    dataset = replace(dataset, dropped=dict(Counter(dataset.dropped) + dropped))
    listed = manifest.store(root, dataset, alias=request.alias, base_model=base, since_ms=request.since_ms)
    note.write_text(listed.digest)
    counts = {name: part.rows for name, part in listed.parts.items()}
    log.info("dataset made", digest=listed.digest[:12], **counts, dropped=dataset.dropped)
    return listed, dataset


def later(spec: JobSpec, listed: Manifest, dataset: Dataset, tokenizer: Any) -> list[Example]:
    """Fresh rows that the dataset has not, most of them labelled since it was made: neither side has met them, nor one
    like them. They are kept as a dataset of their own."""
    dropped: Counter[str] = Counter()
    root, request = spec.var / "datasets", spec.request
    known = [*_all(dataset), *manifest.familiar(root, request.alias, request.champion, request.since_ms)]
    ids = {row.id for row in known}
    found = harvest.fresh(spec.var / "lake", request.alias, request.since_ms)
    fresh = usable(tokenizer, [row for row in found if row.id not in ids], dropped)
    likeness = Likeness.of(fresh, known)
    fresh = capped(once(fresh, dropped), spec.settings.client_cap, likeness, dropped)
    fresh = apart(fresh, known, likeness, dropped, "twin of a known row")
    kept = manifest.store(
        root,
        Dataset([], [], fresh, [], dict(dropped)),
        alias=listed.alias,
        base_model=listed.base_model,
        since_ms=listed.since_ms,
    )
    log.info(
        "rows labelled meanwhile are judged on too", rows=len(fresh), digest=kept.digest[:12], dropped=kept.dropped
    )
    return fresh


def _all(dataset: Dataset) -> list[Example]:
    return [*dataset.train, *dataset.rehearsal, *dataset.validation, *dataset.regression]


def _require_most(kept: int, found: int, dropped: Mapping[str, int], share: float) -> None:
    if found - kept > share * found:
        why = "; ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
        raise ValueError(
            f"fresh labelled rows: {found - kept} of {found} cannot be used, at most {share:.0%} may "
            f"(retrain.max_left_out): {why}"
        )


def _shares(trained: Trained, listed: Manifest) -> dict[str, float]:
    """What the training did without."""
    filtered = sum(listed.dropped.values())
    kept = sum(part.rows for part in listed.parts.values())
    return {
        "left_out_rows": float(trained.left_out),
        "left_out_share": trained.left_out / max(1, trained.left_out + trained.rows),
        "filtered_rows": float(filtered),
        "filtered_share": filtered / max(1, filtered + kept),
    }


def _made(root: Path, note: Path) -> tuple[Manifest, Dataset] | None:
    """The dataset that the note names; None where there is none yet, or none that is whole."""
    try:
        digest = note.read_text().strip()
        return manifest.load(root, digest) if digest else None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        if not isinstance(error, FileNotFoundError):
            log.warning(
                "the dataset of an earlier start cannot be read; it is made again", note=str(note), why=str(error)
            )
        return None


def stored_champion(spec: JobSpec, base: str) -> Path:
    """Its folder, once its bytes are what its name says. Raises ValueError, FileNotFoundError."""
    path = adapter_path(spec.var / "adapters", spec.request.alias, spec.champion_digest)
    found = adapter_digest(path, base)
    if spec.champion_digest not in (found, adapter_digest(path, former_base_model_id(spec.model_dir))):
        raise ValueError(
            f"{path}: digest is {found}, expected {spec.champion_digest}: altered, or another base model's"
        )
    return path


def _teller(folder: Path, run: tracking.Run) -> tracking.Step:
    def tell(step: int, steps: int, loss: float) -> None:
        run.step(step, steps, loss)
        with suppress(OSError):  # how far it is, is only shown
            put(folder / PROGRESS, msgspec.json.encode(Progress(step, steps, loss)))

    return tell


def _keep(
    run: tracking.Run, spec: JobSpec, listed: Manifest, adapter: Adapter, trained: Trained, found: dict[str, float]
) -> None:
    counts = {f"{name}_rows": float(part.rows) for name, part in listed.parts.items()}
    run.metrics({**found, **counts, "steps": float(trained.steps), "resumed_at": float(trained.resumed_at)})
    run.artifacts(adapter.path, "adapter")
    run.artifacts(spec.var / "datasets" / listed.digest, "dataset")


def _flat(table: dict[str, object], at: str = "") -> dict[str, object]:
    """Nested tables as dotted names.

    >>> _flat({"lora": {"r": 16}})
    {'lora.r': 16}
    """
    found: dict[str, object] = {}
    for key, value in table.items():
        found |= _flat(value, f"{at}{key}.") if isinstance(value, dict) else {f"{at}{key}": value}
    return found


def _die_with(parent: int) -> None:
    """A job without its trainer would go on beside its successor."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
