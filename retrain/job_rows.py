"""The rows of one retraining's job: its dataset, and the rows labelled while the candidate was trained."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from retrain.data import labelled_rows, manifest
from retrain.data.dataset import NEWEST, Dataset, Missing, apart, build, capped, once, since
from retrain.data.example import FRESH, REHEARSAL, Example, in_chance_order
from retrain.data.likeness import Likeness
from retrain.data.manifest import Manifest
from retrain.job_files import DATASET, JobSpec
from retrain.training.objections import usable
from streams.clock import now_ms
from streams.files import put
from streams.lake.lake import Lake
from streams.objects.store import StorageError
from streams.objects.tree import Trees
from streams.scoring.scorer import Scorer

log = structlog.get_logger()

SCORED_ROWS = 1_000  # of the fresh ones, to know how much is wrong: a judge model costs


def dataset_of(spec: JobSpec, folder: Path, base: str, tokenizer: Any) -> tuple[Manifest, Dataset]:
    """Return the dataset and its manifest, of rows that the chat template takes; a job that is started again takes the
    one that it had. Raises ValueError where too many of the fresh rows cannot be used."""
    trees, request = spec.trees(), spec.request
    manifest.swept(trees)
    if (known := known_dataset(spec, folder)) is not None:
        return known
    lake = _lake(spec)
    dropped: Counter[str] = Counter()
    found = labelled_rows.fresh(lake, request.alias, request.since_ms)
    fresh = usable(tokenizer, found, dropped)
    _require_most(len(fresh), len(found), dropped, spec.settings.max_left_out)
    dataset = build(
        spec.settings,
        fresh,
        usable(tokenizer, labelled_rows.healthy(lake, request.alias, request.since_ms, NEWEST), dropped),
        usable(tokenizer, manifest.trained_on(trees, request.champion), dropped),
        partial(_losses, spec.scorer()),
        manifest.familiar(trees, request.alias, request.champion, request.since_ms),
        _missing(lake, spec),
    )
    dataset = replace(dataset, dropped=dict(Counter(dataset.dropped) + dropped))
    listed = manifest.store(trees, dataset, alias=request.alias, base_model=base, since_ms=request.since_ms)
    put(folder / DATASET, listed.digest.encode())
    counts = {name: part.rows for name, part in listed.parts.items()}
    log.info("dataset made", digest=listed.digest[:12], **counts, dropped=dataset.dropped)
    return listed, dataset


def known_dataset(spec: JobSpec, folder: Path) -> tuple[Manifest, Dataset] | None:
    """Return the dataset that an earlier start or step made; None where there is none yet, or none that is whole."""
    return _made(spec.trees(), folder / DATASET)


def later(spec: JobSpec, candidate: str, listed: Manifest, dataset: Dataset, tokenizer: Any) -> list[Example]:
    """Return the fresh rows that the dataset lacks, most of them labelled since it was made; neither version has met
    them, or rows like them. They are stored as a dataset of their own, which an erasure finds the candidate by."""
    dropped: Counter[str] = Counter()
    trees, request = spec.trees(), spec.request
    known = [*dataset.rows, *manifest.familiar(trees, request.alias, request.champion, request.since_ms)]
    ids = {row.id for row in known}
    found = labelled_rows.fresh(_lake(spec), request.alias, request.since_ms)
    fresh = usable(tokenizer, [row for row in found if row.id not in ids and row.judges], dropped)
    likeness = Likeness.of(fresh, known)
    fresh = capped(once(fresh, dropped), spec.settings.client_cap, likeness, dropped)
    fresh = apart(fresh, known, likeness, dropped, "twin of a known row")
    absent = [row for row in _missing(_lake(spec), spec).fresh if row.id not in ids]
    fresh += since(absent, fresh)
    kept = _stored_judged(trees, candidate, Dataset([], [], fresh, [], dict(dropped)), listed)
    log.info(
        "rows labelled meanwhile are judged on too", rows=len(fresh), digest=kept.digest[:12], dropped=kept.dropped
    )
    return fresh


def _missing(lake: Lake, spec: JobSpec) -> Missing:
    """Return the audited replies that have no label, though it should have come by now."""
    request, now = spec.request, now_ms()
    fresh = labelled_rows.unlabelled(lake, request.alias, request.since_ms, None, now, FRESH)
    return Missing(fresh, labelled_rows.unlabelled(lake, request.alias, None, request.since_ms, now, REHEARSAL))


def _losses(scorer: Scorer, rows: Sequence[Example]) -> list[float | None]:
    """Return the champion's losses on a fair sample of the rows."""
    some = in_chance_order(rows, "harm")[:SCORED_ROWS]
    return asyncio.run(scorer.losses([row.answered(row.predicted) for row in some]))


def _stored_judged(trees: Trees, candidate: str, dataset: Dataset, of: Manifest) -> Manifest:
    """Store the rows of a job that its candidate is judged on. The record comes first: a kill between the two leaves no
    rows of which it is not known who met them."""
    named = manifest.listed(dataset, alias=of.alias, base_model=of.base_model, since_ms=of.since_ms)
    manifest.remember_judged(trees, candidate, named.digest)
    return manifest.store(trees, dataset, alias=of.alias, base_model=of.base_model, since_ms=of.since_ms)


def _lake(spec: JobSpec) -> Lake:
    return Lake.of(spec.stored())


def _require_most(kept: int, found: int, dropped: Mapping[str, int], share: float) -> None:
    if found - kept > share * found:
        why = "; ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
        raise ValueError(
            f"fresh labelled rows: {found - kept} of {found} cannot be used, at most {share:.0%} may "
            f"(retrain.max_left_out): {why}"
        )


def _made(trees: Trees, note: Path) -> tuple[Manifest, Dataset] | None:
    """Return the dataset that the note names; None where there is none yet, or none that is whole."""
    try:
        digest = note.read_text().strip()
        return manifest.load(trees, digest) if digest else None
    except StorageError:
        raise
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        if not isinstance(error, FileNotFoundError):
            log.warning(
                "the dataset of an earlier start cannot be read; it is made again", note=str(note), why=str(error)
            )
        return None
