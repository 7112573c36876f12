"""Synthetic rows as operators order and look at them."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from deploy.config.settings import Config
from deploy.operator.models.datasets import found
from retrain.data.admission import RowAdmission
from retrain.data.dataset import Dataset
from retrain.data.erasure import sweep
from retrain.data.example import Example
from retrain.data.manifest import DATASETS, Manifest
from retrain.synthetic import exports, sets
from retrain.synthetic.checks import REPEATED, RowChecks
from retrain.synthetic.fidelity import FidelityReport, measured
from retrain.synthetic.generator import RowGenerator
from retrain.synthetic.plan import planned
from retrain.synthetic.synthesis import synthesised
from streams.clock import now_ms
from streams.files import private_folder
from streams.objects.tree import Trees

ANSWERS = ".new-answers-"  # of a folder in `datasets`, such as an erasure removes a day later


@dataclass(frozen=True, slots=True)
class MadeSet:
    """A new set of synthetic rows, what was refused, and how faithful it is."""

    listed: Manifest
    lacking: Mapping[str, int]
    report: FidelityReport
    unused: Sequence[str] = ()  # columns of an export that nothing was taken from


def synthesise(config: Config, name: str, named: Mapping[str, int]) -> MadeSet:
    """Let the model write rows like those that a dataset teaches, and store them for the alias's retrainings. Killed
    and given again it goes on. Raise OSError where model or store are away, ValueError where no row can be used."""
    trees, settings = config.kept.trees(), config.retrain.synthetic
    listed, dataset = found(trees, name)
    sweep(trees, now_ms() / 1_000)  # answers that an order left which was never given again
    plan, checks = planned(settings, dataset.real_lessons, named), RowChecks.of(dataset.real_lessons)
    order = msgspec.json.encode([listed.digest, sorted(named.items()), repr(settings)])
    kept = private_folder(trees.home / DATASETS / f"{ANSWERS}{hashlib.sha256(order).hexdigest()[:16]}")
    clean = RowAdmission.of(config.retrain, config.stack.var).anonymity.rows
    done = asyncio.run(synthesised(settings, plan, checks, RowGenerator(settings, kept).ask, clean))
    made = _stored(trees, listed, dataset, done.rows, done.refused)
    shutil.rmtree(kept)
    return MadeSet(made, done.lacking, fidelity(dataset, done.rows))


def imported(
    config: Config, name: str, path: Path, origin: str, columns: Mapping[str, str], tags: Mapping[str, str]
) -> MadeSet:
    """Take the rows that another tool made, checked against those that a dataset teaches. Raise ValueError where none
    can be used, OSError where the file or the store cannot be read."""
    trees = config.kept.trees()
    listed, dataset = found(trees, name)
    real = dataset.real_lessons
    checks = RowChecks.of(real)
    export = exports.read(path, origin, columns, tags)
    refused, good = export.refused, []
    rows = RowAdmission.of(config.retrain, config.stack.var)(exports.framed(export.rows, real), refused)
    for row, why in zip(rows, checks.objections(rows, [None] * len(rows)), strict=True):
        if why or checks.repeated(row):
            refused[why or REPEATED] += 1
        else:
            good.append(row)
    made = _stored(trees, listed, dataset, good, refused)
    return MadeSet(made, {}, fidelity(dataset, good), export.unused)


def fidelity(dataset: Dataset, rows: Sequence[Example]) -> FidelityReport:
    """Return how faithful the rows are to those that the dataset teaches, by what they teach of those it judges on."""
    held_back = [row for row in (*dataset.validation, *dataset.regression) if not row.unlabelled]
    return measured(dataset.real_lessons, rows, held_back)


def _stored(
    trees: Trees, listed: Manifest, dataset: Dataset, rows: Sequence[Example], refused: Mapping[str, int]
) -> Manifest:
    if not rows:
        why = "; ".join(f"{count} {reason}" for reason, count in refused.items() if count)
        raise ValueError(f"no synthetic row can be used, expected some: {why or 'none was asked for'}")
    return sets.store(trees, listed.alias, rows, dict(refused))


def lines(made: MadeSet) -> Iterator[str]:
    """Yield a new set in lines."""
    refused = ", ".join(f"{why} {count}" for why, count in made.listed.dropped.items())
    yield f"{made.listed.digest}  {made.listed.parts['synthetic'].rows} synthetic rows for {made.listed.alias}"
    yield f"refused: {refused or 'none'}"
    if made.lacking:
        yield f"lacking: {', '.join(f'{name} {count}' for name, count in made.lacking.items())}"
    if made.unused:
        yield f"columns that nothing was taken from: {', '.join(made.unused)}"
    yield from report_lines(made.report)


def report_lines(report: FidelityReport) -> Iterator[str]:
    """Yield a report in lines."""
    yield f"labels differ by {report.label_gap:.0%}, groups by {report.group_gap:.0%} (0: the same shares)"
    near = f"{report.too_near:.0%} nearer to a real row than 95 % of real rows are to each other (alike: 5 %)"
    medians = f"median {report.likeness[1]}, of real rows {report.own_likeness[1]}"
    yield f"likeness to the nearest real row: {medians}; {near}"
    for each in report.scores:
        got = f"{each.right} of {each.of} real rows right, macro F1 {each.macro_f1:.2f}"
        yield f"learned from {each.rows} {each.learned_from}: {got}"
    for why in report.unknown:
        yield f"not known: {why}"
