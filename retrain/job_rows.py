"""The rows of one retraining's job: its dataset, and the rows labelled while the candidate was trained."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from msgspec.structs import replace

from monitor.canonical import UNREADABLE
from retrain.data import labelled_rows, manifest, unlabelled_rows
from retrain.data.admission import RowAdmission
from retrain.data.agreement import settlements
from retrain.data.dataset import NEWEST, Dataset, Missing, apart, build, capped, once, since
from retrain.data.example import FRESH, REHEARSAL, Example, in_chance_order
from retrain.data.likeness import Likeness
from retrain.data.manifest import Manifest
from retrain.job_files import DATASET, JobSpec
from retrain.settings import DOWNSTREAM, RetrainSettings
from retrain.synthetic import sets
from retrain.synthetic.blending import blended
from retrain.training.objections import usable
from streams.clock import now_ms
from streams.events import RetrainRequested
from streams.files import put
from streams.lake.lake import Lake
from streams.objects.store import StorageError
from streams.objects.tree import Trees
from streams.scoring.scorer import Scorer
from streams.scoring.settings import ByRubric

log = structlog.get_logger()

SCORED_ROWS = 1_000  # of the fresh ones, to know how much is wrong: a judge model costs


def dataset_of(spec: JobSpec, folder: Path, base: str, tokenizer: Any) -> tuple[Manifest, Dataset]:
    """Return the dataset and its manifest, of rows that the chat template takes; a job that is started again takes the
    one that it had. Raises ValueError where too many of the fresh rows cannot be used."""
    trees, request = spec.trees(), spec.request
    manifest.swept(trees)
    if (known := known_dataset(spec, folder)) is not None:
        return known
    dataset = gathered(
        spec.settings, _lake(spec), trees, spec.var, request, tokenizer, spec.scorer(), spec.label_wait_s
    )
    listed = manifest.store(trees, dataset, alias=request.alias, base_model=base, since_ms=request.since_ms)
    put(folder / DATASET, listed.digest.encode())
    counts = {name: part.rows for name, part in listed.parts.items()}
    log.info("dataset made", digest=listed.digest[:12], **counts, dropped=dataset.dropped)
    return listed, dataset


def known_dataset(spec: JobSpec, folder: Path) -> tuple[Manifest, Dataset] | None:
    """Return the dataset that an earlier start or step made; None where there is none yet, or none that is whole."""
    return _made(spec.trees(), folder / DATASET)


def gathered(
    settings: RetrainSettings,
    lake: Lake,
    trees: Trees,
    var: Path,
    request: RetrainRequested,
    tokenizer: Any,
    scorer: Scorer,
    label_wait_s: int,
) -> Dataset:
    """Return the dataset of a request, of the rows that may be used and that the chat template takes; nothing is
    stored. `label_wait_s`: after which an audited reply's label is missing. Raises ValueError as `dataset_of`."""
    dropped: Counter[str] = Counter()
    admitted = RowAdmission.of(settings, var)

    def taken(rows: Sequence[Example]) -> list[Example]:
        return usable(tokenizer, admitted(rows, dropped), dropped)

    found = labelled_rows.fresh(lake, request.alias, request.since_ms)
    fresh = taken(found)
    _require_most(len(fresh), len(found), dropped, settings.max_left_out)
    dataset = build(
        settings,
        fresh,
        taken(labelled_rows.healthy(lake, request.alias, request.since_ms, NEWEST)),
        taken(_learned(trees, request)),
        partial(_losses, scorer),
        manifest.familiar(trees, request.alias, request.champion, request.since_ms),
        _missing(lake, request, admitted, label_wait_s * 1_000),
        settlements.settled(trees, request.alias),
    )
    if settings.synthetic.enabled:
        made = taken(sets.rows(trees, request.alias))
        dataset = blended(dataset, made, settings.synthetic.max_share)
    return replace(dataset, dropped=dict(Counter(dataset.dropped) + dropped))


def _learned(trees: Trees, request: RetrainRequested) -> list[Example]:
    """Return the rows that the champion was trained on; where it is to be replaced for a person who is forgotten, its
    ancestors' too, for the candidate begins from the base model."""
    return manifest.taught(trees, request.champion) if request.forgets else manifest.trained_on(trees, request.champion)


def later(spec: JobSpec, candidate: str, listed: Manifest, dataset: Dataset, tokenizer: Any) -> list[Example]:
    """Return the fresh rows that the dataset lacks, most of them labelled since it was made; neither version has met
    them, or rows like them. They are stored as a dataset of their own, which an erasure finds the candidate by."""
    dropped: Counter[str] = Counter()
    trees, request = spec.trees(), spec.request
    known = [*dataset.rows, *manifest.familiar(trees, request.alias, request.champion, request.since_ms)]
    ids = {row.id for row in known}
    ids |= {row.id for row in dataset.quarantine}
    admitted = RowAdmission.of(spec.settings, spec.var)
    found = labelled_rows.fresh(_lake(spec), request.alias, request.since_ms)
    new = admitted([row for row in found if row.id not in ids and row.judges], dropped)
    fresh = usable(tokenizer, new, dropped)
    likeness = Likeness.of(fresh, known)
    fresh = capped(once(fresh, dropped), spec.settings.client_cap, likeness, dropped)
    fresh = apart(fresh, known, likeness, dropped, "twin of a known row")
    absent = [
        row for row in _missing(_lake(spec), request, admitted, spec.label_wait_s * 1_000).fresh if row.id not in ids
    ]
    fresh += since(absent, fresh)
    kept = _stored_judged(trees, candidate, Dataset([], [], fresh, [], dict(dropped)), listed)
    log.info(
        "rows labelled meanwhile are judged on too", rows=len(fresh), digest=kept.digest[:12], dropped=kept.dropped
    )
    return fresh


def unlabelled(
    spec: JobSpec, scorer: Scorer, candidate: str, listed: Manifest, dataset: Dataset, tokenizer: Any
) -> list[Example]:
    """Return fresh replies that no person labelled, for a judge model: neither version has met them, or rows like them.
    They are stored as those of `later` are."""
    assert isinstance(scorer.metric, ByRubric)
    dropped: Counter[str] = Counter()
    trees, request = spec.trees(), spec.request
    known = [*dataset.rows, *manifest.familiar(trees, request.alias, request.champion, request.since_ms)]
    most = spec.settings.judged_rows
    found = unlabelled_rows.unlabelled(_lake(spec), request.alias, request.since_ms, scorer.metric.share, 2 * most)
    found = RowAdmission.of(spec.settings, spec.var)(found, dropped)
    taken = {row.id for row in usable(tokenizer, [replace(row, completion=row.predicted) for row in found], dropped)}
    rows = once([row for row in found if row.id in taken], dropped)
    likeness = Likeness.of(rows, known)
    rows = capped(rows, spec.settings.client_cap, likeness, dropped)
    rows = in_chance_order(apart(rows, known, likeness, dropped, "twin of a known row"), "judge")[:most]
    kept = _stored_judged(trees, candidate, Dataset([], [], rows, [], dict(dropped)), listed)
    log.info("rows without a label go to a judge", rows=len(rows), digest=kept.digest[:12], dropped=kept.dropped)
    return rows


def agreement(spec: JobSpec, scorer: Scorer) -> tuple[int, int]:
    """Return on how many audited replies the judge model agreed with people, and of how many."""
    assert isinstance(scorer.metric, ByRubric)
    return unlabelled_rows.agrees(_lake(spec), spec.request.alias, scorer.metric.source)


def downstream(spec: JobSpec) -> dict[str, float]:
    """Return the scores of the downstream system that the settings name as the business metric; else none."""
    name = spec.settings.business_metric
    if not name.startswith(DOWNSTREAM):
        return {}
    return labelled_rows.downstream_scores(_lake(spec), spec.request.alias, name.removeprefix(DOWNSTREAM))


def _missing(lake: Lake, request: RetrainRequested, admitted: RowAdmission, wait_ms: int) -> Missing:
    """Return the audited replies that have no label, though it should have come by now."""
    now = now_ms()
    fresh = labelled_rows.unlabelled(lake, request.alias, (request.since_ms, None), now, FRESH, wait_ms)
    healthy = labelled_rows.unlabelled(lake, request.alias, (None, request.since_ms), now, REHEARSAL, wait_ms)
    return Missing(admitted(fresh, Counter()), admitted(healthy, Counter()))


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
    except (OSError, ValueError, *UNREADABLE) as error:
        if not isinstance(error, FileNotFoundError):
            log.warning(
                "the dataset of an earlier start cannot be read; it is made again", note=str(note), why=str(error)
            )
        return None
