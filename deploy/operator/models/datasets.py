"""Datasets as operators look at them: made without a training, shown, compared, and their quarantine settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.config.settings import Config
from deploy.show.times import clock
from retrain.data import manifest
from retrain.data.agreement import settlements
from retrain.data.dataset import Dataset
from retrain.data.example import Example
from retrain.data.manifest import DATASETS, PARTS, Manifest
from retrain.data.parts import DatasetPart
from streams.events import RetrainRequested
from streams.identity import VERSION
from streams.objects.tree import Trees

SHOWN = 12  # labels and groups that a page of the terminal names
WIDTH = 100  # characters of a question, or of an answer, that is shown


@dataclass(frozen=True, slots=True)
class DatasetChange:
    """What one dataset has and another lacks, by part."""

    gone: Mapping[str, Sequence[Example]]
    come: Mapping[str, Sequence[Example]]
    relabelled: Sequence[tuple[Example, Example]]  # before and after


def made(config: Config, alias: str, champion: str, since_ms: int) -> Manifest:
    """Make the dataset that a retraining of the alias would get, and put it into the store. Raise ValueError where too
    few rows can be used, OSError where model or store are away."""
    from deploy.stack.lifecycle import model_folder
    from retrain.base_model import base_model_id
    from retrain.job_rows import gathered
    from retrain.training.prompting import load_tokenizer
    from streams.lake.lake import Lake
    from streams.scoring.scorer import Scorer

    folder, var, trees = model_folder(config.stack), config.stack.var, config.kept.trees()
    request = RetrainRequested(
        id="", alias=alias, champion=champion, time_ms=0, alarm_id="", since_ms=since_ms, reason="an operator looks"
    )
    scorer = Scorer.of(config.scoring.given(alias), alias, var)
    lake, tokenizer = Lake.of(config.kept), load_tokenizer(folder)
    dataset = gathered(config.retrain, lake, trees, var, request, tokenizer, scorer, config.labels.wait_s)
    base = base_model_id(folder, var / "digests")
    return manifest.store(trees, dataset, alias=alias, base_model=base, since_ms=since_ms)


def found(trees: Trees, name: str) -> tuple[Manifest, Dataset]:
    """Return a dataset by a version that was trained on it, or by its digest, of which the beginning will do; of one
    that an erasure took rows out of, what is left. Raise LookupError where there is none, or more than one."""
    if VERSION.fullmatch(name):
        try:
            return manifest.load(trees, manifest.noted(trees, name)[0])
        except FileNotFoundError as error:
            raise LookupError(f"{name}: no dataset of this version is recorded; it was made elsewhere") from error
    known = [*trees.digests(DATASETS), *manifest.superseded(trees)] if name else []
    digests = sorted({manifest.current(trees, each) for each in known if each.startswith(name)})
    if len(digests) != 1:
        count = "no dataset's digest begins" if not digests else f"{len(digests)} datasets' digests begin"
        raise LookupError(f"{count} with {name!r}, expected a version, or a digest's beginning that names one")
    return manifest.load(trees, digests[0])


def shown(listed: Manifest) -> Iterator[str]:
    """Yield a dataset in lines: its origin, the counts of each part, and what was left out and why."""
    of = f"base model {listed.base_model}, fresh since {clock(listed.since_ms)}"
    of = of if listed.base_model else "synthetic rows"
    yield f"{listed.digest}  {listed.alias}, {of}"
    for name, part in listed.parts.items():
        yield f"{name}: {part.rows} rows of {part.clients} clients, {part.reviewed} labelled by reviewers"
        for title, counts in _counts(part).items():
            if counts:
                yield f"  {title}: {_most(counts)}"
    yield f"left out: {_most({why: count for why, count in listed.dropped.items() if count}) or 'none'}"


def _counts(part: DatasetPart) -> dict[str, Mapping[str, int]]:
    return {
        "origin": part.sources,
        "chosen": part.selections,
        "labels": part.labels,
        "tags": part.groups,
        "confirmed": {"the model's own answers": part.own_answers} if part.own_answers else {},
        "why": part.reasons,
        "made by": part.origins,
    }


def _most(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    more = [f"{len(ordered) - SHOWN} more"] if len(ordered) > SHOWN else []
    return ", ".join([*(f"{' '.join(name.split())[:WIDTH]} {count}" for name, count in ordered[:SHOWN]), *more])


def compared(before: Dataset, after: Dataset) -> DatasetChange:
    """Return what has changed from one dataset to another; rows are the same by id, wherever they come from."""
    gone, come = {}, {}
    for name in PARTS:
        mine, theirs = ({row.id: row for row in getattr(each, name)} for each in (before, after))
        gone[name] = [row for id, row in mine.items() if id not in theirs]
        come[name] = [row for id, row in theirs.items() if id not in mine]
    old, new = ({row.id: row for row in [*each.rows, *each.quarantine]} for each in (before, after))
    changed = [(row, new[id]) for id, row in old.items() if id in new and new[id].label != row.label]
    return DatasetChange(gone, come, changed)


def change_lines(change: DatasetChange) -> Iterator[str]:
    """Yield a change in lines."""
    for name in PARTS:
        less, more = change.gone[name], change.come[name]
        yield f"{name}: {len(more)} rows more, {len(less)} less"
        for sign, rows in (("+", more), ("-", less)):
            if rows:
                yield f"  {sign} {_most(Counter(row.label[:WIDTH] for row in rows))}"
    for old, new in change.relabelled:
        yield f"label of {old.id}: {old.completion[:WIDTH]!r} is now {new.completion[:WIDTH]!r}"


def quarantined(dataset: Dataset) -> Iterator[str]:
    """Yield the rows that are not believed, each in one line."""
    for row in dataset.quarantine:
        asked = " ".join((row.messages[-1].content if row.messages else "").split())[:WIDTH]
        yield f"{row.id}  {row.labeller or '-'}  {row.completion[:WIDTH]!r}  {row.quarantined}  {asked}"


def settle(trees: Trees, listed: Manifest, dataset: Dataset, ids: Sequence[str], *, released: bool) -> list[str]:
    """Record a decision on rows in quarantine, by their ids; of a labeller with `client:NAME` all. Return the ids.
    Raise LookupError, which names those that are not there, before anything is written."""
    known = {row.id: row for row in dataset.quarantine}
    chosen: dict[str, None] = {}
    for id in ids:
        client = id.removeprefix("client:") if id.startswith("client:") else None
        theirs = [row.id for row in dataset.quarantine if row.labeller == client] if client is not None else [id]
        if not theirs or not set(theirs) <= known.keys():
            raise LookupError(f"{id}: no such row in quarantine of dataset {listed.digest[:12]}, expected an id of it")
        chosen |= dict.fromkeys(theirs)
    for each in chosen:
        settlements.settle(trees, listed.alias, each, released=released)
    return list(chosen)


def copied(trees: Trees, digest: str, folder: Path) -> None:
    """Copy a dataset's files to a new folder. Raise FileExistsError where there is one."""
    import shutil

    shutil.copytree(manifest.located(trees, digest), folder)
