"""Bases or recipes compared by command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from deploy.config.settings import Config
from deploy.operator.models import datasets
from deploy.operator.rows import read_file
from deploy.show.meter import meter
from deploy.stack.engines import accesses, by_address
from deploy.stack.lifecycle import model_folder
from retrain.choice.candidates import Contender, checked
from retrain.choice.contest import Contest
from retrain.choice.decision import CandidateChoice, Contestant, choose
from retrain.data import manifest
from retrain.data.dataset import Dataset, once
from retrain.data.example import Example, in_chance_order
from retrain.settings import RetrainSettings
from streams.files import private_folder
from streams.objects.opening import Storage
from streams.scoring.scorer import Scorer

LEAST = 20  # rows to answer: with fewer no candidate could be told from another


@dataclass(frozen=True, slots=True)
class CandidateComparison:
    """What a comparison found."""

    dataset: str
    contestants: list[Contestant]
    choice: CandidateChoice


def compare(
    config: Config, alias: str, rows: Path | None, dataset: str, candidates: Sequence[Contender], console: Console
) -> CandidateComparison:
    """Train each candidate on the dataset of that digest, or on a file of rows, ask it the rows held back, and choose.
    Raise ValueError or OSError where candidates, rows, models or engines cannot be used."""
    stack, stored = config.stack, Storage(config.storage.absolute(), config.stack.var.resolve())
    given = checked(candidates, model_folder(stack), next(iter(accesses(config).values())).address)
    scorer = Scorer.of(config.scoring.given(alias), alias, stack.var)
    private_folder(stack.var)
    digest, asked = _dataset(stored, alias, rows, dataset, config.retrain)
    if len(asked) < LEAST:
        raise ValueError(f"rows to answer: {len(asked)}, expected at least {LEAST}: give more labelled rows")
    contest = Contest(stored, digest, asked, scorer, config.retrain, engines=by_address(config.engines))
    contestants = []
    for each in given:
        with meter(console, f"training {each.name}") as progress:
            contestants.append(contest.entered(each, progress))
    return CandidateComparison(digest, contestants, choose(contestants, asked, config.retrain))


def _dataset(
    stored: Storage, alias: str, rows: Path | None, dataset: str, settings: RetrainSettings
) -> tuple[str, list[Example]]:
    """Return the dataset's digest and its rows to answer. Raise ValueError where not exactly one of both is given,
    LookupError where there is no such dataset."""
    if (rows is None) == (not dataset):
        raise ValueError("expected a file of ROWS or --dataset DIGEST, one of them")
    trees = stored.trees()
    if rows is None:
        listed, found = datasets.found(trees, dataset)
    else:
        found = shared_out([row.example() for row in read_file(rows)], settings.validation_share)
        # under a name of its own: no retraining takes these rows for ones that a version has met
        listed = manifest.store(trees, found, alias=f"{alias} (compared)", base_model="", since_ms=0)
    return listed.digest, [row for row in (*found.validation, *found.regression) if not row.unlabelled]


def shared_out(rows: Sequence[Example], share: float) -> Dataset:
    """Return the rows as a dataset: that share of them, by chance, is to be answered, the others are to be learned."""
    dropped: Counter[str] = Counter()
    ordered = in_chance_order(once(rows, dropped), "compare")
    held_back = round(share * len(ordered))
    return Dataset(ordered[held_back:], [], ordered[:held_back], [], dict(dropped))
